#pragma once
/// biased_attention — O = drop(P)·V per head, P = softmax(s·Q·Kᵀ + b), s = 1/√d.
///   dV = drop(P)ᵀ·dO;  dS = P∘(dP − Σ P∘dP) along the keys;  db = dS;  dQ = s·dS·K;  dK = s·dSᵀ·Q
///                                                                     [Vaswani et al. 2017, eq. 1]
///   q (…, T_q, d), k and v (…, T_k, d), b broadcast to (…, T_q, T_k) or undefined → (…, T_q, d),
///   with up to two leading dimensions (B, heads). Masks as scaled_dot_product_attention's: a query
///   that sees no key gives zeros. b may hold −∞ where a key is not to be seen.
///
///   const auto x = eye<float>(2), bias = tensor<float>({{0, -INFINITY}, {0, 0}});
///   biased_attention(x, x, x, bias, {.scale = 1});               // → [[1., 0.], [0.2689, 0.7311]]
///   biased_attention(x, x, x, {}, {.dropout = 0.1, .random = &random});   // → (2, 2)
///
/// Composed of matmul, add, softmax and dropout: unlike scaled_dot_product_attention it has the
/// matrix of size T_q × T_k in memory. Use it where there is a bias, or where probabilities are
/// dropped. Errors: shapes that do not fit, dropout without a generator, or outside [0, 1).

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/attention.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/ops/dropout.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

/// What a query may see, the scale, and what is dropped.
struct BiasedAttentionOptions {
  Tensor<bool> key_mask = {};   ///< (B, T_k), true = may be seen; undefined: all keys
  bool causal = false;          ///< query i sees keys 0 … i only
  double scale = 0;             ///< s; 0 means 1/√d
  double dropout = 0;           ///< the probability that an element of P becomes 0
  Generator* random = nullptr;  ///< what dropout draws from
};

namespace detail {

/// Which keys each query sees, as softmax takes it; undefined where all do.
inline Tensor<bool> visible_keys(const BiasedAttentionOptions& options, int rank,
                                 std::int64_t queries, std::int64_t keys, Device device) {
  Tensor<bool> visible;
  if (options.key_mask.defined()) {
    Shape shape{options.key_mask.size(0)};
    for (int i = 1; i < rank - 1; ++i) shape.push_back(1);
    if (rank == 2) shape = {1};
    shape.push_back(keys);
    visible = options.key_mask.reshape(shape);
  }
  if (options.causal) {
    const Tensor<bool> past(Shape{queries, keys});
    bool* p = past.mutable_data();
    for (std::int64_t i = 0; i < queries; ++i) {
      for (std::int64_t j = 0; j < keys; ++j) *p++ = j <= i;
    }
    visible = visible.defined() ? logical_and(visible, past.to(device)) : past.to(device);
  }
  return visible;
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> biased_attention(
    const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v, const Tensor<T>& bias = {},
    const BiasedAttentionOptions& options = {}) {
  const char* const op = "biased_attention";
  detail::require_defined(op, "q", q, "k", k, "v", v);
  detail::require_given_or_none(op, "bias", bias, "key_mask", options.key_mask);
  detail::require_same_device(op, q, k, v, bias, options.key_mask);
  detail::require_heads(op, q, k, v);
  const int r = q.rank();
  const std::int64_t queries = q.size(-2), keys = k.size(-2), batch = r > 2 ? q.size(0) : 1;
  TANDEM_CHECK(!options.key_mask.defined() || (options.key_mask.shape() == Shape{batch, keys}), op,
               "the key mask has shape ",
               options.key_mask.defined() ? options.key_mask.shape() : Shape(), ", expected (",
               batch, ", ", keys, ")");
  TANDEM_CHECK(options.dropout >= 0 && options.dropout < 1, op,
               "the probability must lie in [0, 1), it is ", options.dropout);
  TANDEM_CHECK(options.dropout == 0 || options.random != nullptr, op,
               "dropout needs a generator, options.random");
  const double scale =
      options.scale != 0 ? options.scale : 1 / __builtin_sqrt(static_cast<double>(q.size(-1)));
  Tensor<T> scores = matmul(mul(q, scale), k.transpose(-1, -2));
  if (bias.defined()) {
    bool within = bias.rank() <= r;
    for (int i = 1; within && i <= bias.rank(); ++i) {
      within = bias.size(-i) == 1 || bias.size(-i) == scores.size(-i);
    }
    TANDEM_CHECK(within, op, "a bias of shape ", bias.shape(),
                 " does not broadcast to the scores, ", scores.shape());
    scores = add(scores, bias);
  }
  Tensor<T> p = softmax(scores, -1, detail::visible_keys(options, r, queries, keys, q.device()));
  if (options.dropout > 0) p = dropout(p, options.dropout, *options.random);
  return matmul(p, v);
}

TANDEM_NAMESPACE_END
