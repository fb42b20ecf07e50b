#pragma once
/// Multi-head self-attention with its projections.

#include "tandem/nn/linear.hpp"
#include "tandem/nn/packed_rows.hpp"
#include "tandem/ops/attention.hpp"
#include "tandem/ops/index_select.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// MultiHeadAttention — self-attention: softmax(QKᵀ/√d)·V per head, then the output projection.
///                                                                     [Vaswani et al. 2017, §3.2]
///   x (B, T, width), key_mask (B, T) true where a key may be seen (optional) → (B, T, width).
///   in_proj_weight (3·width, width) holds W_q, W_k, W_v one below the other; names are those of
///   torch.nn.MultiheadAttention and of CLIP.
template <FloatingElement T>
class MultiHeadAttention final : public Module<T> {
 public:
  MultiHeadAttention(std::int64_t width, std::int64_t heads, Generator& random)
      : in_proj_weight(xavier_uniform<T>({3 * width, width}, random)),
        in_proj_bias(zeros<T>({3 * width})),
        out_proj(width, width, random),
        heads_(heads) {
    TANDEM_CHECK(heads >= 1 && width % heads == 0, "attention", "a width of ", width,
                 " does not divide into ", heads, " heads");
    if (!SkipInit::active()) {
      const NoGrad no_grad;
      out_proj.bias.zero_();
    }
    this->add("in_proj_weight", in_proj_weight);
    this->add("in_proj_bias", in_proj_bias);
    this->add("out_proj", out_proj);
  }
  /// `residual`, when given, is added to the result.
  Tensor<T> forward(const Tensor<T>& x, const Tensor<bool>& key_mask = {}, bool causal = false,
                    const Tensor<T>& residual = {}) const {
    const Tensor<T> mixed = mix(x, key_mask, causal);
    const ModuleScope scope = this->scope();
    return out_proj.forward(mixed, Activation::none, residual);
  }
  /// What the heads say, before the output projection. Rows whose `query_mask` (B, T) is false are
  /// zero and cost nothing.
  Tensor<T> mix(const Tensor<T>& x, const Tensor<bool>& key_mask, bool causal,
                const Tensor<bool>& query_mask = {}) const {
    const ModuleScope scope = this->scope();
    const Tensor<T> qkv = project(x);
    return self_attention(qkv, heads_, key_mask, causal, query_mask);
  }

  /// mix() of packed causal sequences: x (rows, width) → (rows, width), or with `ends` (N, width),
  /// what is said at the end of each sequence.
  Tensor<T> mix_packed(const Tensor<T>& x, const PackedRows& packed, bool ends) const {
    const ModuleScope scope = this->scope();
    const Tensor<T> qkv = project(x);
    const Tensor<T> all = index_select(qkv, 0, packed.spread)
                              .reshape({packed.sequences, packed.longest, qkv.size(1)});
    const Tensor<T> mixed =
        self_attention(all, heads_, {}, true, ends ? packed.wanted_last : packed.wanted);
    return index_select(mixed.reshape({packed.sequences * packed.longest, x.size(1)}), 0,
                        ends ? packed.last_place : packed.place);
  }

  Weight<T> in_proj_weight;
  Tensor<T> in_proj_bias;  ///< (3·width,)
  Linear<T> out_proj;      ///< width → width, after the heads

 private:
  /// Queries, keys and values side by side.
  Tensor<T> project(const Tensor<T>& x) const { return in_proj_weight.multiply(x, in_proj_bias); }
  std::int64_t heads_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
