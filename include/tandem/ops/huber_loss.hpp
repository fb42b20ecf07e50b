#pragma once
/// huber_loss — l = d²/2 where |d| ≤ δ, δ·(|d| − δ/2) elsewhere, d = x − t.   [Huber 1964, p. 75]
///   dx = clamp(d, −δ, δ)·g;   dt = −dx;   g = dl, or dl/n for the mean
/// smooth_l1_loss — l = d²/(2β) where |d| < β, |d| − β/2 elsewhere: huber_loss with δ = β, over β.
///   dx = clamp(d/β, −1, 1)·g;   dt = −dx;   with β = 0 it is l1_loss     [Girshick 2015, eq. 3]
///   x, t of one shape → () or, with Reduction::none, that shape.  Composed of sub, abs, clamp_max,
///   mul and sum: l = m·(|d| − m/2), m = min(|d|, δ).
///
///   const auto x = tensor<float>({0, 0}), truth = tensor<float>({0.5, 3});
///   huber_loss(x, truth, 1, Reduction::none);         // → [0.125, 2.5]
///   smooth_l1_loss(x, truth, 0.5, Reduction::none);   // → [0.25, 2.75]
///
/// Errors: shapes differ (losses do not broadcast); δ not positive; β negative.

#include "tandem/ops/clamp.hpp"
#include "tandem/ops/l1_loss.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// The losses of huber_loss, times `scale`, reduced.
template <class T>
Tensor<T> huber(const Tensor<T>& x, const Tensor<T>& target, double delta, double scale,
                Reduction reduction) {
  const Tensor<T> distance = abs(sub(x, target)), near = clamp_max(distance, delta);
  const Tensor<T> losses = mul(near, sub(distance, mul(near, 0.5)));
  return reduce_losses(scale == 1 ? losses : mul(losses, scale), reduction);
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> huber_loss(const Tensor<T>& x,
                                                            const Tensor<T>& target,
                                                            double delta = 1,
                                                            Reduction reduction = Reduction::mean) {
  const char* const op = "huber_loss";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_same_device(op, x, target);
  detail::require_same_shape(op, "prediction", x, "target", target);
  TANDEM_CHECK(static_cast<T>(delta) > 0, op, "delta must be positive, it is ", delta);
  return detail::huber(x, target, delta, 1, reduction);
}

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> smooth_l1_loss(
    const Tensor<T>& x, const Tensor<T>& target, double beta = 1,
    Reduction reduction = Reduction::mean) {
  const char* const op = "smooth_l1_loss";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_same_device(op, x, target);
  detail::require_same_shape(op, "prediction", x, "target", target);
  TANDEM_CHECK(beta == 0 || static_cast<T>(beta) > 0, op, "beta must not be negative, it is ",
               beta);
  if (beta == 0) return l1_loss(x, target, reduction);
  return detail::huber(x, target, beta, 1 / beta, reduction);
}

TANDEM_NAMESPACE_END
