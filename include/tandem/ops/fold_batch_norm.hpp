#pragma once
/// fold_batch_norm — a convolution and the batch_norm after it, outside training, as one
/// convolution.
///   W′[o, …] = W[o, …]·γ[o]·s[o],   b′ = (b − μ)·γ·s + β,   s = 1/√(σ² + ε)
///   W (O, …), b, γ, β, μ, σ² (O) → W′ of the same shape, b′ (O); b, γ and β may be undefined (0,
///   1, 0).
///
///   const auto x = ones<float>({1, 2, 3, 3, 3}), w = randn<float>({4, 2, 1, 1, 1}, random);
///   auto gamma = ones<float>({4}), beta = gamma, mean = gamma, variance = gamma;
///   const FoldedConv<float> folded = fold_batch_norm(w, {}, gamma, beta, mean, variance, 1e-3);
///   const auto y = batch_norm(conv3d(x, w), gamma, beta, mean, variance, {.epsilon = 1e-3});
///   allclose(conv3d(x, folded.weight, folded.bias), y, {.atol = 1e-5});   // → true
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

namespace detail {

/// weight (out, each); null pointers stand for what was not given.
template <class T>
void fold_batch_norm_on_cpu(T* folded, T* folded_bias, const T* weight, const T* bias,
                            const T* gamma, const T* beta, const T* mean, const T* variance,
                            std::int64_t out, std::int64_t each, double epsilon) {
  const auto at = [](const T* p, std::int64_t o, double otherwise) {
    return p != nullptr ? static_cast<double>(p[o]) : otherwise;
  };
  for (std::int64_t o = 0; o < out; ++o) {
    const double scale = at(gamma, o, 1) / __builtin_sqrt(at(variance, o, 0) + epsilon);
    for (std::int64_t i = o * each; i < (o + 1) * each; ++i) {
      folded[i] = static_cast<T>(static_cast<double>(weight[i]) * scale);
    }
    folded_bias[o] = static_cast<T>((at(bias, o, 0) - at(mean, o, 0)) * scale + at(beta, o, 0));
  }
}
template <class T>
inline const Kernel<void(Queue&, T* folded, T* folded_bias, const T* weight, const T* bias,
                         const T* gamma, const T* beta, const T* mean, const T* variance,
                         std::int64_t out, std::int64_t each, double epsilon)>
    fold_batch_norm_forward{"fold_batch_norm_forward", fold_batch_norm_on_cpu<T>};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) FoldedConv<T> fold_batch_norm(
    const Tensor<T>& weight, const Tensor<T>& bias, const Tensor<T>& gamma, const Tensor<T>& beta,
    const Tensor<T>& mean, const Tensor<T>& variance, double epsilon) {
  const char* const op = "fold_batch_norm";
  detail::require_defined(op, "weight", weight, "mean", mean, "variance", variance);
  detail::require_given_or_none(op, "bias", bias, "gamma", gamma, "beta", beta);
  detail::require_same_device(op, weight, bias, gamma, beta, mean, variance);
  detail::require_kernels(op, weight, detail::fold_batch_norm_forward<T>);
  autograd::refuse_grad(op, weight, bias, gamma, beta);
  TANDEM_CHECK(weight.rank() >= 1, op, "the weight is a scalar");
  TANDEM_CHECK(static_cast<T>(epsilon) > 0, op, "epsilon must be positive, it is ", epsilon);
  const std::int64_t out = weight.size(0), each = out > 0 ? weight.numel() / out : 0;
  for (const Tensor<T>& p : {bias, gamma, beta, mean, variance}) {
    TANDEM_CHECK(!p.defined() || p.shape() == Shape{out}, op, "a weight of shape ", weight.shape(),
                 " needs bias, scale, shift, mean and variance of shape (", out, ",), one has ",
                 p.defined() ? p.shape() : Shape());
  }
  const Device device = weight.device();
  const FoldedConv<T> folded{Tensor<T>(weight.shape(), device), Tensor<T>({out}, device)};
  const auto dense = [](const Tensor<T>& t) { return t.defined() ? t.detach().contiguous() : t; };
  const auto data = [](const Tensor<T>& t) { return t.defined() ? t.device_data() : nullptr; };
  const Tensor<T> w = dense(weight), b = dense(bias), g = dense(gamma), up = dense(beta),
                  m = dense(mean), v = dense(variance);
  detail::fold_batch_norm_forward<T>(device, folded.weight.mutable_device_data(),
                                     folded.bias.mutable_device_data(), data(w), data(b), data(g),
                                     data(up), data(m), data(v), out, each, epsilon);
  return folded;
}

TANDEM_NAMESPACE_END
