#pragma once
/// fold_batch_norm — a convolution and the batch_norm after it, outside training, as one
/// convolution.
///   W′[o, …] = W[o, …]·γ[o]·s[o],   b′ = (b − μ)·γ·s + β,   s = 1/√(σ² + ε)
///   W (O, …), b, γ, β, μ, σ² (O) → W′ of the same shape, b′ (O); b, γ and β may be undefined (0,
///   1, 0).
///
///   const FoldedConv<float> folded = fold_batch_norm(w, {}, gamma, beta, mean, variance, 1e-3);
///   conv3d(x, folded.weight, folded.bias);   // = batch_norm(conv3d(x, w), …)
///
/// For inference: it has no backward. Computed in double. Errors: shapes, ε not positive.

#include <cstdint>

#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// What fold_batch_norm returns.
template <FloatingElement T>
struct FoldedConv {
  Tensor<T> weight, bias;
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) FoldedConv<T> fold_batch_norm(
    const Tensor<T>& weight, const Tensor<T>& bias, const Tensor<T>& gamma, const Tensor<T>& beta,
    const Tensor<T>& mean, const Tensor<T>& variance, double epsilon) {
  const char* const op = "fold_batch_norm";
  detail::require_defined(op, "weight", weight, "mean", mean, "variance", variance);
  detail::require_given_or_none(op, "bias", bias, "gamma", gamma, "beta", beta);
  detail::require_cpu(op, weight, bias, gamma, beta, mean, variance);
  autograd::refuse_grad(op, weight, bias, gamma, beta);
  TANDEM_CHECK(weight.rank() >= 1, op, "the weight is a scalar");
  TANDEM_CHECK(static_cast<T>(epsilon) > 0, op, "epsilon must be positive, it is ", epsilon);
  const std::int64_t out = weight.size(0), each = out > 0 ? weight.numel() / out : 0;
  for (const Tensor<T>& p : {bias, gamma, beta, mean, variance}) {
    TANDEM_CHECK(!p.defined() || p.shape() == Shape{out}, op, "a weight of shape ", weight.shape(),
                 " needs bias, scale, shift, mean and variance of shape (", out, ",), one has ",
                 p.defined() ? p.shape() : Shape());
  }
  const FoldedConv<T> folded{weight.detach().clone(), Tensor<T>({out})};
  const auto at = [](const Tensor<T>& t, std::int64_t i, double otherwise) {
    return t.defined() ? static_cast<double>(t.at({i})) : otherwise;
  };
  T *w = folded.weight.mutable_data(), *b = folded.bias.mutable_data();
  for (std::int64_t o = 0; o < out; ++o) {
    const double scale = at(gamma, o, 1) / __builtin_sqrt(at(variance, o, 0) + epsilon);
    for (std::int64_t i = o * each; i < (o + 1) * each; ++i) {
      w[i] = static_cast<T>(static_cast<double>(w[i]) * scale);
    }
    b[o] = static_cast<T>((at(bias, o, 0) - at(mean, o, 0)) * scale + at(beta, o, 0));
  }
  return folded;
}

TANDEM_NAMESPACE_END
