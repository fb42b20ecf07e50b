#pragma once
/// Models of PyTorch and torchvision, written as a user of this library would write them: members
/// are registered under the names that PyTorch's modules have, so that a state dict of theirs loads
/// as it is. Widths are the constructors'; the defaults are those of ResNet-18 and ViT-B/16.

#include <array>
#include <string>
#include <vector>

#include "tandem/nn/batch_norm.hpp"
#include "tandem/nn/conv2d.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/nn/pool2d.hpp"
#include "tandem/nn/sequential.hpp"
#include "tandem/nn/transformer.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/gelu.hpp"
#include "tandem/ops/leaky_relu.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/relu.hpp"

namespace pytorch_models {

using namespace tandem;

inline Ref<nn::Layer<float>> relu_layer() {
  return nn::make_function<float>([](const Tensor<float>& x) { return relu(x); });
}
inline Ref<nn::Layer<float>> gelu_layer() {
  return nn::make_function<float>([](const Tensor<float>& x) { return gelu(x); });
}
/// Conv2d without a bias, as in front of a batch norm.
inline Ref<nn::Conv2d<float>> bare_conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                        std::int64_t stride, Generator& random) {
  return make_ref<nn::Conv2d<float>>(in, out, kernel, random,
                                     Conv2dOptions{.stride = stride, .padding = kernel / 2}, false);
}

/// torch.nn.TransformerEncoderLayer(width, heads, hidden, activation, norm_first), batch first.
class EncoderLayer final : public nn::Module<float> {
 public:
  EncoderLayer(std::int64_t width, std::int64_t heads, std::int64_t hidden, Activation activation,
               bool norm_first, Generator& random)
      : self_attn(width, heads, random),
        linear1(width, hidden, random),
        linear2(hidden, width, random),
        norm1(width),
        norm2(width),
        activation_(activation),
        norm_first_(norm_first) {
    add("self_attn", self_attn);
    add("linear1", linear1);
    add("linear2", linear2);
    add("norm1", norm1);
    add("norm2", norm2);
  }
  /// `key_mask` is true where a key may be seen, src_key_padding_mask where it may not.
  Tensor<float> forward(const Tensor<float>& x, const Tensor<bool>& key_mask = {}) const {
    const nn::ModuleScope scope = this->scope();
    if (norm_first_) {
      const Tensor<float> attended = self_attn.forward(norm1.forward(x), key_mask, false, x);
      return perceptron(norm2.forward(attended), attended);
    }
    const Tensor<float> attended = norm1.forward(self_attn.forward(x, key_mask, false, x));
    return norm2.forward(perceptron(attended, attended));
  }

  nn::MultiHeadAttention<float> self_attn;
  nn::Linear<float> linear1, linear2;
  nn::LayerNorm<float> norm1, norm2;

 private:
  Tensor<float> perceptron(const Tensor<float>& x, const Tensor<float>& residual) const {
    return linear2.forward(linear1.forward(x, activation_), Activation::none, residual);
  }
  Activation activation_;
  bool norm_first_;
};

/// torch.nn.TransformerEncoder: "layers.0.self_attn.in_proj_weight" …, and "norm" where it has one.
template <class Block = EncoderLayer>
class Encoder final : public nn::Module<float> {
 public:
  explicit Encoder(std::vector<Ref<Block>> blocks, Ref<nn::LayerNorm<float>> norm = {})
      : blocks_(std::move(blocks)), norm_(std::move(norm)) {
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      add("layers." + std::to_string(i), *blocks_[i]);
    if (norm_) add("norm", *norm_);
  }
  Tensor<float> forward(Tensor<float> x, const Tensor<bool>& key_mask = {}) const {
    for (const Ref<Block>& block : blocks_) x = block->forward(x, key_mask);
    return norm_ ? norm_->forward(x) : x;
  }

 private:
  std::vector<Ref<Block>> blocks_;
  Ref<nn::LayerNorm<float>> norm_;
};

/// torchvision's BasicBlock: conv1, bn1, conv2, bn2, and downsample.0, downsample.1 where the shape
/// changes.                                                              [He et al. 2016, figure 2]
class BasicBlock final : public nn::Layer<float> {
 public:
  BasicBlock(std::int64_t in, std::int64_t out, std::int64_t stride, Generator& random)
      : conv1(bare_conv(in, out, 3, stride, random)),
        conv2(bare_conv(out, out, 3, 1, random)),
        bn1(out),
        bn2(out) {
    add("conv1", *conv1);
    add("bn1", bn1);
    add("conv2", *conv2);
    add("bn2", bn2);
    if (stride == 1 && in == out) return;
    downsample.push(bare_conv(in, out, 1, stride, random));
    downsample.push(make_ref<nn::BatchNorm2d<float>>(out));
    add("downsample", downsample);
  }
  Tensor<float> forward(const Tensor<float>& x) const override {
    const nn::ModuleScope scope = this->scope();
    const Tensor<float> y = bn2.forward(conv2->forward(relu(bn1.forward(conv1->forward(x)))));
    return relu(y + downsample.forward(x));  // an empty Sequential is the identity
  }

  Ref<nn::Conv2d<float>> conv1, conv2;
  nn::BatchNorm2d<float> bn1, bn2;
  nn::Sequential<float> downsample;
};

/// torchvision.models.resnet18.                                           [He et al. 2016, table 1]
class ResNet18 final : public nn::Module<float> {
 public:
  explicit ResNet18(Generator& random,
                    const std::array<std::int64_t, 4>& widths = {64, 128, 256, 512},
                    std::int64_t classes = 1000)
      : conv1(bare_conv(3, widths[0], 7, 2, random)),
        bn1(widths[0]),
        maxpool({.kernel = 3, .stride = 2, .padding = 1}),
        fc(widths[3], classes, random) {
    add("conv1", *conv1);
    add("bn1", bn1);
    for (std::size_t i = 0; i < 4; ++i) {
      layers[i].push(make_ref<BasicBlock>(i == 0 ? widths[0] : widths[i - 1], widths[i],
                                          i == 0 ? 1 : 2, random));
      layers[i].push(make_ref<BasicBlock>(widths[i], widths[i], 1, random));
      add("layer" + std::to_string(i + 1), layers[i]);
    }
    add("fc", fc);
  }
  Tensor<float> forward(const Tensor<float>& images) const {
    Tensor<float> x = maxpool.forward(relu(bn1.forward(conv1->forward(images))));
    for (const nn::Sequential<float>& layer : layers) x = layer.forward(x);
    return fc.forward(mean(x, {2, 3}));
  }

  Ref<nn::Conv2d<float>> conv1;
  nn::BatchNorm2d<float> bn1;
  nn::MaxPool2d<float> maxpool;
  std::array<nn::Sequential<float>, 4> layers;
  nn::Linear<float> fc;
};

/// The sizes of torchvision's VisionTransformer; the defaults are vit_b_16's.
struct VitSizes {
  std::int64_t image = 224, patch = 16, layers = 12, heads = 12, width = 768, hidden = 3072,
               classes = 1000;
};

/// torchvision.models.vit_b_16.                                           [Dosovitskiy et al. 2021]
class VisionTransformer final : public nn::Module<float> {
 public:
  /// Its EncoderBlock: ln_1, self_attention, ln_2, and mlp.0 and mlp.3 of an MLP with dropouts.
  class Block final : public nn::Module<float> {
   public:
    Block(const VitSizes& sizes, Generator& random)
        : ln_1(sizes.width, 1e-6),
          self_attention(sizes.width, sizes.heads, random),
          ln_2(sizes.width, 1e-6) {
      mlp.push(make_ref<nn::Linear<float>>(sizes.width, sizes.hidden, random));
      mlp.push(gelu_layer());
      mlp.push(make_ref<nn::Dropout<float>>());
      mlp.push(make_ref<nn::Linear<float>>(sizes.hidden, sizes.width, random));
      add("ln_1", ln_1);
      add("self_attention", self_attention);
      add("ln_2", ln_2);
      add("mlp", mlp);
    }
    Tensor<float> forward(const Tensor<float>& x) const {
      const nn::ModuleScope scope = this->scope();
      const Tensor<float> attended = self_attention.forward(ln_1.forward(x), {}, false, x);
      return attended + mlp.forward(ln_2.forward(attended));
    }

    nn::LayerNorm<float> ln_1;
    nn::MultiHeadAttention<float> self_attention;
    nn::LayerNorm<float> ln_2;
    nn::Sequential<float> mlp;
  };

  explicit VisionTransformer(Generator& random, const VitSizes& sizes = {})
      : conv_proj(3, sizes.width, sizes.patch, random, {.stride = sizes.patch}),
        class_token(zeros<float>({1, 1, sizes.width})),
        pos_embedding(zeros<float>(
            {1, (sizes.image / sizes.patch) * (sizes.image / sizes.patch) + 1, sizes.width})),
        ln(sizes.width, 1e-6),
        head(sizes.width, sizes.classes, random) {
    add("conv_proj", conv_proj);
    add("class_token", class_token);
    add("encoder.pos_embedding",
        pos_embedding);  // a name may have dots: no module for each of them
    for (std::int64_t i = 0; i < sizes.layers; ++i) {
      blocks.push_back(make_ref<Block>(sizes, random));
      add("encoder.layers.encoder_layer_" + std::to_string(i), *blocks.back());
    }
    add("encoder.ln", ln);
    add("heads.head", head);
  }
  Tensor<float> forward(const Tensor<float>& images) const {
    const Tensor<float> patches = conv_proj.forward(images).flatten(2).transpose(1, 2);
    const Tensor<float> first = class_token.expand({images.size(0), 1, class_token.size(2)});
    Tensor<float> x = cat(std::vector<Tensor<float>>{first, patches}, 1) + pos_embedding;
    for (const Ref<Block>& block : blocks) x = block->forward(x);
    return head.forward(ln.forward(x).select(1, 0));
  }

  nn::Conv2d<float> conv_proj;
  Tensor<float> class_token, pos_embedding;
  std::vector<Ref<Block>> blocks;
  nn::LayerNorm<float> ln;
  nn::Linear<float> head;
};

}  // namespace pytorch_models
