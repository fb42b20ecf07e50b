#pragma once
/// What CLIP's image encoder takes: short side resized, centre cropped, normalised.
///                                                                            [Radford et al. 2021]
///
///   x(c, y, x) = (byte(y, x, c) / 255 − mean(c)) / std(c)        in float, in this order
///
///   Tensor<float> x = clip::preprocess(io::read_image("a.png", {.alpha = true}));
///   // → (3, 224, 224)
///
/// Equal, byte for byte and then bit for bit, to the release's transform of a Pillow image:
/// torchvision's Resize(224, BICUBIC), CenterCrop(224), convert("RGB"), ToTensor(), Normalize(mean,
/// std). Only the part that the crop keeps is computed. An image with alpha must come with it
/// (io::read_image with .alpha = true), because the release drops it after resizing. Palettes are
/// the one exception: Pillow does not interpolate them (nor pictures of one bit), here they are
/// colours like any other. Models of other projects resize with BILINEAR, or both sides to the
/// encoder's size ("squash").

#include <array>
#include <cstdint>

#include "tandem/image/levels.hpp"
#include "tandem/image/resize_and_crop.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// How images are resized, cropped and scaled; the defaults are those of OpenAI's release.
struct PreprocessOptions {
  std::int64_t size = 224;  ///< the short side after resizing
  std::int64_t crop = 224;  ///< rows and columns that are kept
  std::array<float, 3> mean{0.48145466F, 0.4578275F, 0.40821073F};
  std::array<float, 3> std{0.26862954F, 0.26130258F, 0.27577711F};
  io::ResizeFilter filter = io::ResizeFilter::bicubic;
  /// Resize both sides to `crop`, whatever the proportions, in place of cropping
  bool squash = false;
};

namespace detail {
/// (…, 4) → (…, 3)
inline Tensor<std::uint8_t> drop_alpha(const Tensor<std::uint8_t>& images) {
  return images.size(-1) == 3 ? images : images.slice(-1, 0, 3).contiguous();
}
}  // namespace detail

/// Images as the encoder takes them.
///   (H, W, C) → (3, crop, crop);  (N, H, W, C) → (N, 3, crop, crop);  C = 3 or 4
/// On the device of the images, with the same bits; nothing waits.
inline Tensor<float> preprocess(const Tensor<std::uint8_t>& images,
                                const PreprocessOptions& options = {}) {
  const Tensor<std::uint8_t> cropped =
      options.squash
          ? detail::drop_alpha(io::resize(images, options.crop, options.crop, options.filter))
          : io::resize_and_crop(images, options.size, options.crop, options.filter);
  io::detail::ByteLevels level;
  for (std::size_t c = 0; c < 3; ++c) {
    TANDEM_CHECK(options.std[c] > 0, "preprocess", "the standard deviation of channel ", c,
                 " must be positive, it is ", options.std[c]);
    for (std::size_t b = 0; b < 256; ++b) {
      level.of[c][b] = (static_cast<float>(b) / 255.0F - options.mean[c]) / options.std[c];
    }
  }
  const std::int64_t crop = options.crop, count = images.rank() == 4 ? images.size(0) : 1;
  Shape shape{3, crop, crop};
  if (images.rank() == 4) shape = {count, 3, crop, crop};
  const Tensor<float> out(shape, images.device());
  if (count == 0) return out;
  const std::int64_t pixels = crop * crop;
  io::detail::byte_planes(images.device(), out.mutable_device_data(), cropped.device_data(), level,
                          io::detail::BytePlanes{count, pixels, 3 * pixels, pixels});
  return out;
}

}  // namespace clip
TANDEM_NAMESPACE_END
