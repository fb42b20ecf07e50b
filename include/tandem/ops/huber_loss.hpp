#pragma once
/// huber_loss — l = d²/2 where |d| ≤ δ, δ·(|d| − δ/2) elsewhere, d = x − t.   [Huber 1964, p. 75]
///   dx = clamp(d, −δ, δ)·g;   dt = −dx;   g = dl, or dl/n for the mean
/// smooth_l1_loss — l = d²/(2β) where |d| < β, |d| − β/2 elsewhere: huber_loss with δ = β, over β.
///   dx = clamp(d/β, −1, 1)·g;   dt = −dx;   with β = 0 it is l1_loss     [Girshick 2015, eq. 3]
///   x, t of one shape → () or, with Reduction::none, that shape.  Composed of sub, clamp, mul and
///   sum: l = m·(d − m/2), m = clamp(d, −δ, δ); smooth_l1_loss with m/β and div too.
///
///   const auto x = tensor<float>({0, 0}), truth = tensor<float>({0.5, 3});
///   huber_loss(x, truth, 1, Reduction::none);         // → [0.125, 2.5]
///   smooth_l1_loss(x, truth, 0.5, Reduction::none);   // → [0.25, 2.75]
///
/// NaN in x or t makes its gradients NaN; that of l1_loss is 0 there, as in PyTorch.
/// Errors: shapes differ (losses do not broadcast); δ not positive; β negative.

#include <limits>

#include "tandem/ops/clamp.hpp"
#include "tandem/ops/l1_loss.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// A number as T holds it, the largest in the place of those beyond.
template <class T>
double held(double value) {
  constexpr auto most = static_cast<double>(std::numeric_limits<T>::max());
  return value < most ? value : most;
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
  const double most = detail::held<T>(delta);
  const Tensor<T> distance = sub(x, target), near = clamp(distance, -most, most);
  return detail::reduce_losses(mul(near, sub(distance, mul(near, 0.5))), reduction);
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
  const double width = detail::held<T>(beta);
  const Tensor<T> distance = sub(x, target), near = clamp(div(distance, width), -1, 1);
  return detail::reduce_losses(mul(near, sub(distance, mul(near, width / 2))), reduction);
}
TANDEM_ONE_TYPE_ONLY(huber_loss)
TANDEM_ONE_TYPE_ONLY(smooth_l1_loss)

TANDEM_NAMESPACE_END
