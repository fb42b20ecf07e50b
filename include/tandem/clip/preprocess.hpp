#pragma once
/// What CLIP's image encoder takes: short side resized, centre cropped, normalised.   [Radford et al. 2021]
///
///   x(c, y, x) = (byte(y, x, c) / 255 − mean(c)) / std(c)        in float, in this order
///
///   Tensor<float> x = clip::preprocess(io::read_image("a.png", {.alpha = true}));   // (3, 224, 224)
///
/// Equal, byte for byte and then bit for bit, to the release's transform of a Pillow image: torchvision's
/// Resize(224, BICUBIC), CenterCrop(224), convert("RGB"), ToTensor(), Normalize(mean, std). Only the part
/// that the crop keeps is computed. An image with alpha must come with it (io::read_image with
/// .alpha = true), because the release drops it after resizing. Palettes are the one exception: Pillow
/// does not interpolate them (nor pictures of one bit), here they are colours like any other.

#include <array>
#include <cstdint>
#include <cstring>

#include "tandem/clip/resize.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

struct PreprocessOptions {
  std::int64_t size = 224;  ///< the short side after resizing
  std::int64_t crop = 224;  ///< rows and columns that are kept
  std::array<float, 3> mean{0.48145466F, 0.4578275F, 0.40821073F};
  std::array<float, 3> std{0.26862954F, 0.26130258F, 0.27577711F};
};

struct ImageSize {
  std::int64_t height, width;
};

/// torchvision's Resize(size): the short side becomes `size`, the long one ⌊size · long / short⌋.
inline ImageSize resized_size(std::int64_t height, std::int64_t width, std::int64_t size) {
  TANDEM_CHECK(height > 0 && width > 0 && size > 0 && size < 1 << 24, "resized_size",
               "expected sizes from 1, the new one below 2^24, got ", height, " x ", width, " and ", size);
  const auto longer = [size](std::int64_t long_side, std::int64_t short_side) {
    return static_cast<std::int64_t>(static_cast<double>(size * long_side) /
                                     static_cast<double>(short_side));
  };
  if (height <= width) return {size, longer(width, height)};
  return {longer(height, width), size};
}

namespace detail {

/// Where torchvision's CenterCrop(crop) cuts one axis of `size`, or, when that is shorter than the crop,
/// how much black it puts before it.
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
/// counts in the resizing and is dropped after it. Where the resized image is smaller than the crop, it
/// lies in the middle of black. `filter` in place of BICUBIC.
///   (H, W, C) → (crop, crop, 3);  (N, H, W, C) → (N, crop, crop, 3);  C = 3 or 4
inline Tensor<std::uint8_t> resize_and_crop(const Tensor<std::uint8_t>& images, std::int64_t size = 224,
                                            std::int64_t crop = 224,
                                            ResizeFilter filter = ResizeFilter::bicubic) {
  const detail::ImageBatch batch("resize_and_crop", images);
  TANDEM_CHECK(size > 0 && size < 1 << 24 && crop > 0 && crop < 1 << 14, "resize_and_crop",
               "expected a size below 2^24 and a crop below 2^14, both from 1, got ", size, " and ", crop);
  const ImageSize full = resized_size(batch.height, batch.width, size);
  const detail::CropAxis down = detail::crop_axis(full.height, crop);
  const detail::CropAxis across = detail::crop_axis(full.width, crop);
  const detail::Resizer resizer(
      batch.height, batch.width, batch.channels,
      detail::ResizeAxis(batch.height, full.height, down.first, down.count, filter),
      detail::ResizeAxis(batch.width, full.width, across.first, across.count, filter), down.first,
      across.first);
  const std::int64_t channels = batch.channels, bytes = crop * crop * channels;
  const Tensor<std::uint8_t> cropped(batch.shape(crop, crop, channels));
  std::uint8_t* first = cropped.mutable_data();
  if (down.count < crop || across.count < crop) {
    std::memset(first, 0, static_cast<std::size_t>(batch.count * bytes));
  }
  batch.resize(resizer, down.count, across.count, first + (down.before * crop + across.before) * channels,
               bytes, crop * channels);
  return channels == 3 ? cropped : cropped.slice(-1, 0, 3).contiguous();
}

/// Images as the encoder takes them.
///   (H, W, C) → (3, crop, crop);  (N, H, W, C) → (N, 3, crop, crop);  C = 3 or 4
inline Tensor<float> preprocess(const Tensor<std::uint8_t>& images,
                                const PreprocessOptions& options = {}) {
  const Tensor<std::uint8_t> cropped = resize_and_crop(images, options.size, options.crop);
  std::array<std::array<float, 256>, 3> level;  // of each channel and byte
  for (std::size_t c = 0; c < 3; ++c) {
    TANDEM_CHECK(options.std[c] > 0, "preprocess", "the standard deviation of channel ", c,
                 " must be positive, it is ", options.std[c]);
    for (std::size_t b = 0; b < 256; ++b) {
      level[c][b] = (static_cast<float>(b) / 255.0F - options.mean[c]) / options.std[c];
    }
  }
  const std::int64_t crop = options.crop, count = images.rank() == 4 ? images.size(0) : 1;
  Shape shape{3, crop, crop};
  if (images.rank() == 4) shape = {count, 3, crop, crop};
  const Tensor<float> out(shape);
  const std::uint8_t* from = cropped.data();
  float* to = out.mutable_data();
  cpu::parallel_for(count * crop, 1 + 8192 / crop, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::uint8_t* pixel = from + row * crop * 3;
      float* line = to + (row / crop * 3 * crop + row % crop) * crop;
      for (std::int64_t x = 0; x < crop; ++x, pixel += 3) {
        line[x] = level[0][pixel[0]];
        line[x + crop * crop] = level[1][pixel[1]];
        line[x + 2 * crop * crop] = level[2][pixel[2]];
      }
    }
  });
  return out;
}

}  // namespace clip
TANDEM_NAMESPACE_END
