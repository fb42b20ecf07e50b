#pragma once
/// l1_loss — mean absolute error, l = |x − t|, reduced by mean (default), sum or none.
///   dx = sign(x − t)·g;   dt = −dx;   g = dl, or dl/n for the mean;  sign(0) = 0
///   x, t of one shape → () or, with Reduction::none, that shape.  Composed of sub, abs and sum.
///
///   l1_loss(tensor<float>({1, 2}), tensor<float>({0, 5}));   // → 2.
///
/// Errors: shapes differ (losses do not broadcast).

#include "tandem/ops/abs.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/parts/loss_reduction.hpp"
#include "tandem/ops/sum.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// The end of losses that are composed of other ops: the losses themselves, their sum, or their
/// mean, which is 0 for none.
template <class T>
Tensor<T> reduce_losses(const Tensor<T>& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  const Tensor<T> total = sum(losses);
  return reduction == Reduction::sum || losses.numel() == 0
             ? total
             : div(total, static_cast<double>(losses.numel()));
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> l1_loss(const Tensor<T>& x,
                                                         const Tensor<T>& target,
                                                         Reduction reduction = Reduction::mean) {
  const char* const op = "l1_loss";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_same_device(op, x, target);
  detail::require_same_shape(op, "prediction", x, "target", target);
  return detail::reduce_losses(abs(sub(x, target)), reduction);
}
TANDEM_ONE_TYPE_ONLY(l1_loss)

TANDEM_NAMESPACE_END
