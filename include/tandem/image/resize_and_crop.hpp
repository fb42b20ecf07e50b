#pragma once
/// torchvision's Resize(size) and CenterCrop(crop) of a Pillow image, byte for byte; only the part
/// that the crop keeps is computed.
///
///   Tensor<std::uint8_t> centre = io::resize_and_crop(frame, 256, 224);  // (224, 224, 3)

#include <cstdint>

#include "tandem/image/resize.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// Rows and columns of an image, in pixels.
struct ImageSize {
  std::int64_t height, width;  ///< pixels
};

/// torchvision's Resize(size): the short side becomes `size`, the long one ⌊size · long / short⌋.
inline ImageSize resized_size(std::int64_t height, std::int64_t width, std::int64_t size) {
  TANDEM_CHECK(height > 0 && width > 0 && size > 0 && size < 1 << 24, "resized_size",
               "expected sizes from 1, the new one below 2^24, got ", height, " x ", width, " and ",
               size);
  const auto longer = [size](std::int64_t long_side, std::int64_t short_side) {
    return static_cast<std::int64_t>(static_cast<double>(size * long_side) /
                                     static_cast<double>(short_side));
  };
  if (height <= width) return {size, longer(width, height)};
  return {longer(height, width), size};
}

namespace detail {

/// Where torchvision's CenterCrop(crop) cuts one axis of `size`, or, when that is shorter than the
/// crop, how much black it puts before it.
struct CropAxis {
  std::int64_t first, count, before;
};
inline CropAxis crop_axis(std::int64_t size, std::int64_t crop) {
  if (size < crop) return {0, size, (crop - size) / 2};
  // round((size − crop) / 2), halves to even.
  const std::int64_t spare = size - crop;
  return {spare / 2 + (spare % 4 == 3 ? 1 : 0), crop, 0};
}

}  // namespace detail

/// The bytes of Resize(size, BICUBIC), CenterCrop(crop) and convert("RGB"): alpha, if there is one,
/// counts in the resizing and is dropped after it. Where the resized image is smaller than the
/// crop, it lies in the middle of black. `filter` in place of BICUBIC.
///   (H, W, C) → (crop, crop, 3);  (N, H, W, C) → (N, crop, crop, 3);  C = 3 or 4
/// On the device of the images, with the same bytes.
inline Tensor<std::uint8_t> resize_and_crop(const Tensor<std::uint8_t>& images,
                                            std::int64_t size = 224, std::int64_t crop = 224,
                                            ResizeFilter filter = ResizeFilter::bicubic) {
  const detail::ImageBatch batch("resize_and_crop", images);
  TANDEM_CHECK(size > 0 && size < 1 << 24 && crop > 0 && crop < 1 << 14, "resize_and_crop",
               "expected a size below 2^24 and a crop below 2^14, both from 1, got ", size, " and ",
               crop);
  const ImageSize full = resized_size(batch.height, batch.width, size);
  const detail::CropAxis down = detail::crop_axis(full.height, crop);
  const detail::CropAxis across = detail::crop_axis(full.width, crop);
  const std::int64_t channels = batch.channels, bytes = crop * crop * channels;
  const Tensor<std::uint8_t> cropped(batch.shape(crop, crop, channels), images.device());
  if (down.count < crop || across.count < crop) cropped.zero_();
  batch.resize(detail::ResizeAxis(batch.height, full.height, down.first, down.count, filter),
               detail::ResizeAxis(batch.width, full.width, across.first, across.count, filter),
               down.first, across.first, cropped, (down.before * crop + across.before) * channels,
               bytes, crop * channels);
  return channels == 3 ? cropped : cropped.slice(-1, 0, 3).contiguous();
}

}  // namespace io
TANDEM_NAMESPACE_END
