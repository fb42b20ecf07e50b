#pragma once
/// The stack of blocks that both encoders of CLIP are made of.    [Radford et al. 2021, §2.4]

#include <cstdint>
#include <utility>
#include <vector>

#include "tandem/nn/transformer.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// Transformer — pre-LN blocks one after the other, under the names "resblocks.0", "resblocks.1" …
///   one row of each sequence → (N, width): the first, or, causal, where row i sees 0 … i, the
///   last.
/// `hidden`: the width inside the perceptrons, 0 for 4·width.
/// `scaled`: the weights start as the release's text side does, normal with deviations that follow
/// from width and depth, instead of with each layer's own default. `epsilon`: that of all layer
/// norms.
template <FloatingElement T>
class Transformer final : public nn::Module<T> {
 public:
  Transformer(std::int64_t width, std::int64_t layers, std::int64_t heads, std::int64_t hidden,
              Activation activation, Generator& random, bool scaled = false,
              double epsilon = 1e-5) {
    TANDEM_CHECK(layers >= 1, "transformer", "expected at least one layer, got ", layers);
    for (std::int64_t i = 0; i < layers; ++i) {
      blocks_.push_back(make_ref<nn::TransformerBlock<T>>(
          width, heads, random,
          nn::TransformerBlockOptions{
              .activation = activation, .hidden = hidden, .epsilon = epsilon}));
      this->add(concat("resblocks.", i), *blocks_.back());
      if (scaled && !nn::SkipInit::active()) scale(*blocks_.back(), width, layers, random);
    }
  }
  /// The first row of each sequence, where all rows see all: x (N, L, width) → (N, width). Of the
  /// last block only these rows are computed, behind the keys and values of all.
  Tensor<T> forward_first(Tensor<T> x) const {
    const nn::ModuleScope scope = this->scope();
    return blocks_.back()->forward_first(all_but_last(std::move(x)));
  }
  /// The wanted rows (N, L) in order, where all rows see all: x (N, L, width) → (rows, width).
  Tensor<T> forward_rows(Tensor<T> x, const Tensor<bool>& wanted) const {
    const nn::ModuleScope scope = this->scope();
    return blocks_.back()->forward_rows(all_but_last(std::move(x)), wanted);
  }

  /// The rows that end packed causal sequences, (N, width); of the last block only these are
  /// computed.
  Tensor<T> forward_packed(Tensor<T> x, const nn::PackedRows& packed) const {
    const nn::ModuleScope scope = this->scope();
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      x = blocks_[i]->forward_packed(x, packed, i + 1 == blocks_.size());
    }
    return x;
  }

 private:
  Tensor<T> all_but_last(Tensor<T> x) const {
    for (std::size_t i = 0; i + 1 < blocks_.size(); ++i) x = blocks_[i]->forward(x);
    return x;
  }
  static void scale(nn::TransformerBlock<T>& block, std::int64_t width, std::int64_t layers,
                    Generator& random) {
    const double attention = 1 / __builtin_sqrt(static_cast<double>(width)),
                 inner = 1 / __builtin_sqrt(2 * static_cast<double>(width)),
                 projection = attention / __builtin_sqrt(2 * static_cast<double>(layers));
    const NoGrad no_grad;
    const auto fill = [&random](const Tensor<T>& weight, double deviation) {
      weight.copy_elements(randn<T>(weight.shape(), random, 0, deviation));
    };
    fill(block.attn.in_proj_weight.tensor(), attention);
    fill(block.attn.out_proj.weight.tensor(), projection);
    fill(block.mlp.c_fc.weight.tensor(), inner);
    fill(block.mlp.c_proj.weight.tensor(), projection);
  }

  std::vector<Ref<nn::TransformerBlock<T>>> blocks_;
};

}  // namespace clip
TANDEM_NAMESPACE_END
