#pragma once
/// CLIP's image encoder, a vision transformer.    [Dosovitskiy et al. 2021; Radford et al. 2021]

#include <cstdint>
#include <vector>

#include "tandem/clip/transformer.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/matmul.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// The sizes of an image encoder; the defaults are those of ViT-B/16. B/32: patch 32. L/14: patch
/// 14, width 1024, 24 layers, 16 heads, output 768.
struct ImageEncoderOptions {
  std::int64_t resolution = 224;
  std::int64_t patch = 16;
  std::int64_t width = 768;
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t hidden = 0;  ///< width inside the perceptrons; 0: 4·width
  std::int64_t output = 512;
  Activation activation = Activation::quick_gelu;  ///< gelu for most models trained by open_clip
  double epsilon = 1e-5;                           ///< of the layer norms
};

/// unfold_patches — the patches of images as rows: row-major over the grid, within a patch channel
/// by channel, so that conv1.weight (width, 3, patch, patch) read as (width, 3·patch²) multiplies
/// it.
///   images (B, 3, H, W) → (B, H/patch · W/patch, 3·patch²)
template <FloatingElement T>
Tensor<T> unfold_patches(const Tensor<T>& images, std::int64_t patch) {
  const bool fits = images.rank() == 4 && patch >= 1 && images.size(2) % patch == 0 &&
                    images.size(3) % patch == 0;
  TANDEM_CHECK(fits, "unfold_patches", "images of shape ", images.shape(),
               " do not divide into patches of ", patch, " × ", patch);
  const std::int64_t batch = images.size(0), channels = images.size(1),
                     rows = images.size(2) / patch, cols = images.size(3) / patch;
  return images.reshape({batch, channels, rows, patch, cols, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({batch, rows * cols, channels * patch * patch});
}

/// ImageEncoder — x₀ = [class; patches·Wᵀ] + positions;  x = blocks(ln_pre(x₀));
///   feature = ln_post(x at the class token)·proj.
///   images (B, 3, resolution, resolution), preprocessed → (B, output), not normalised.
/// Parameter names are those of OpenAI's release below "visual.": conv1.weight, class_embedding,
/// positional_embedding, ln_pre, transformer.resblocks.0 …, ln_post, proj; so are the initial
/// values.
///
///   clip::ImageEncoder<float> encoder({}, random);
///   Tensor<float> features = normalize(encoder.forward(images), -1);
///
/// Errors: images of another size.
template <FloatingElement T>
class ImageEncoder final : public nn::Module<T> {
 public:
  ImageEncoder(const ImageEncoderOptions& options, Generator& random)
      : conv1(options, random),
        class_embedding(nn::normal<T>({options.width}, random, deviation(options))),
        positional_embedding(
            nn::normal<T>({patches(options) + 1, options.width}, random, deviation(options))),
        ln_pre(options.width, options.epsilon),
        transformer(options.width, options.layers, options.heads, options.hidden,
                    options.activation, random, false, options.epsilon),
        ln_post(options.width, options.epsilon),
        proj(nn::normal<T>({options.width, options.output}, random, deviation(options))),
        options_(options) {
    this->add("conv1", conv1);
    this->add("class_embedding", class_embedding);
    this->add("positional_embedding", positional_embedding);
    this->add("ln_pre", ln_pre);
    this->add("transformer", transformer);
    this->add("ln_post", ln_post);
    this->add("proj", proj);
  }

  Tensor<T> forward(const Tensor<T>& images) const {
    const nn::ModuleScope scope = this->scope();
    const std::int64_t size = options_.resolution, width = options_.width;
    TANDEM_CHECK(images.rank() == 4 && images.shape() == (Shape{images.size(0), 3, size, size}),
                 "image_encoder", "expected images (B, 3, ", size, ", ", size, "), got ",
                 images.shape());
    const Tensor<T> patches = conv1.forward(unfold_patches(images, options_.patch));
    const Tensor<T> first = class_embedding.expand({images.size(0), 1, width});
    const Tensor<T> x = add(cat(std::vector<Tensor<T>>{first, patches}, 1), positional_embedding);
    const Tensor<T> last = transformer.forward_first(ln_pre.forward(x));
    return matmul(ln_post.forward(last), proj);
  }
  /// The sizes it was made with.
  const ImageEncoderOptions& options() const { return options_; }

  /// The patch embedding: a convolution whose stride is its size, which is a product with the
  /// unfolded patches. The weight keeps the convolution's shape (width, 3, patch, patch).
  class PatchEmbedding final : public nn::Module<T> {
   public:
    PatchEmbedding(const ImageEncoderOptions& options, Generator& random)
        : weight(nn::kaiming_uniform<T>({options.width, 3, options.patch, options.patch},
                                        3 * options.patch * options.patch, random)) {
      this->add("weight", weight);
    }
    Tensor<T> forward(const Tensor<T>& patches) const {
      const nn::ModuleScope scope = this->scope();
      return weight.multiply(patches, {});
    }

    nn::Weight<T> weight;
  };

  PatchEmbedding conv1;
  Tensor<T> class_embedding, positional_embedding;
  nn::LayerNorm<T> ln_pre;
  Transformer<T> transformer;
  nn::LayerNorm<T> ln_post;
  Tensor<T> proj;

 private:
  static double deviation(const ImageEncoderOptions& options) {
    return 1 / __builtin_sqrt(static_cast<double>(options.width));
  }
  static std::int64_t patches(const ImageEncoderOptions& options) {
    TANDEM_CHECK(
        options.patch >= 1 && options.resolution >= 1 && options.resolution % options.patch == 0,
        "image_encoder", "a resolution of ", options.resolution,
        " does not divide into patches of ", options.patch);
    const std::int64_t side = options.resolution / options.patch;
    return side * side;
  }

  ImageEncoderOptions options_;
};

}  // namespace clip
TANDEM_NAMESPACE_END
