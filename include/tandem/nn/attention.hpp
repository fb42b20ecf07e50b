#pragma once
/// Multi-head attention with its projections, of a sequence to itself or to another.

#include "tandem/nn/dropout.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/nn/packed_rows.hpp"
#include "tandem/ops/attention.hpp"
#include "tandem/ops/biased_attention.hpp"
#include "tandem/ops/index_select.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// What the queries of MultiHeadAttention::attend may see, and what is added to their scores.
template <FloatingElement T>
struct AttendOptions {
  Tensor<bool> key_mask = {};  ///< (B, T_k), true = may be seen; undefined: all keys
  bool causal = false;         ///< query i sees keys 0 … i only
  Tensor<T> bias = {};         ///< broadcast to (B, heads, T_q, T_k); it may collect a gradient
};

/// MultiHeadAttention — softmax(QKᵀ/√d)·V per head, then the output projection.
///                                                                     [Vaswani et al. 2017, §3.2]
///   forward: self-attention.  x (B, T, width), key_mask (B, T) true where a key may be seen
///   (optional) → (B, T, width).
///   attend: query (B, T_q, width), key and value (B, T_k, width) → (B, T_q, width).
///   in_proj_weight (3·width, width) holds W_q, W_k, W_v one below the other; names are those of
///   torch.nn.MultiheadAttention and of CLIP. In training, dropout zeroes probabilities (and needs
///   a RandomScope); then, and with a bias, the matrix of them is in memory
///   (ops/biased_attention.hpp).
///   First values are PyTorch's: in_proj_weight Xavier-uniform, out_proj.weight as of Linear,
///   biases 0.
///
///   const nn::MultiHeadAttention<float> attention(16, 2, random);   // 2 heads of 8
///   const auto frames = ones<float>({3, 7, 16}), words = ones<float>({3, 5, 16});
///   attention.forward(frames);                                      // → (3, 7, 16)
///   attention.attend(frames, words, words);                         // → (3, 7, 16)
template <FloatingElement T>
class MultiHeadAttention final : public Module<T> {
 public:
  MultiHeadAttention(std::int64_t width, std::int64_t heads, Generator& random, double dropout = 0)
      : in_proj_weight(xavier_uniform<T>({3 * width, width}, random)),
        in_proj_bias(zeros<T>({3 * width})),
        out_proj(width, width, random),
        heads_(heads),
        dropout_(dropout) {
    TANDEM_CHECK(dropout >= 0 && dropout < 1, "attention",
                 "the probability of dropout must lie in [0, 1), it is ", dropout);
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
  /// The queries look at keys and values given apart.  Errors: shapes that do not fit.
  Tensor<T> attend(const Tensor<T>& query, const Tensor<T>& key, const Tensor<T>& value,
                   const AttendOptions<T>& options = {}) const {
    const ModuleScope scope = this->scope();
    tandem::detail::require_defined("attention", "query", query, "key", key, "value", value);
    const std::int64_t width = in_proj_bias.size(0) / 3;
    const bool fits = query.rank() == 3 && key.rank() == 3 && query.size(2) == width &&
                      key.size(2) == width && query.size(0) == key.size(0) &&
                      key.shape() == value.shape();
    TANDEM_CHECK(fits, "attention", "expected query (B, T_q, ", width, "), key and value (B, T_k, ",
                 width, "), got ", query.shape(), ", ", key.shape(), " and ", value.shape());
    const Tensor<T> q = in_heads(project(query, 0)), k = in_heads(project(key, 1)),
                    v = in_heads(project(value, 2));
    return out_proj.forward(joined(
        drops() || options.bias.defined()
            ? biased_attention(q, k, v, options.bias, dropped({options.key_mask, options.causal}))
            : scaled_dot_product_attention(q, k, v, {options.key_mask, options.causal})));
  }
  /// What the heads say, before the output projection. Rows whose `query_mask` (B, T) is false are
  /// zero and cost nothing.
  Tensor<T> mix(const Tensor<T>& x, const Tensor<bool>& key_mask, bool causal,
                const Tensor<bool>& query_mask = {}) const {
    const ModuleScope scope = this->scope();
    const Tensor<T> qkv = project(x);
    if (!drops()) return self_attention(qkv, heads_, key_mask, causal, query_mask);
    const std::int64_t width = qkv.size(2) / 3;
    const auto part = [&](std::int64_t i) {
      return in_heads(qkv.slice(2, i * width, (i + 1) * width));
    };
    const Tensor<T> mixed =
        joined(biased_attention(part(0), part(1), part(2), {}, dropped({key_mask, causal})));
    return query_mask.defined() ? where(query_mask.unsqueeze(-1), mixed, 0) : mixed;
  }

  /// mix() of packed causal sequences: x (rows, width) → (rows, width), or with `ends` (N, width),
  /// what is said at the end of each sequence.  Errors: training with dropout.
  Tensor<T> mix_packed(const Tensor<T>& x, const PackedRows& packed, bool ends) const {
    const ModuleScope scope = this->scope();
    TANDEM_CHECK(!drops(), "attention", "packed sequences are not for training with dropout");
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
  /// Queries (0), keys (1) or values (2) alone.
  Tensor<T> project(const Tensor<T>& x, std::int64_t part) const {
    const std::int64_t width = in_proj_bias.size(0) / 3, begin = part * width, end = begin + width;
    return in_proj_weight.multiply_rows(x, begin, end, in_proj_bias.slice(0, begin, end));
  }
  /// (B, T, width) → (B, heads, T, d), and back.
  Tensor<T> in_heads(const Tensor<T>& x) const {
    return x.reshape({x.size(0), x.size(1), heads_, x.size(2) / heads_}).transpose(1, 2);
  }
  Tensor<T> joined(const Tensor<T>& x) const {
    return x.transpose(1, 2).reshape({x.size(0), x.size(2), heads_ * x.size(3)});
  }
  bool drops() const { return dropout_ > 0 && this->training(); }
  /// The options with what is dropped now.
  BiasedAttentionOptions dropped(BiasedAttentionOptions options) const {
    if (!drops()) return options;
    TANDEM_CHECK(current_generator() != nullptr, "dropout",
                 "training with dropout needs an nn::RandomScope, so that runs can be repeated");
    options.dropout = dropout_;
    options.random = current_generator();
    return options;
  }

  std::int64_t heads_;
  double dropout_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
