#pragma once
/// mse — mean squared error, l = (x − t)², reduced by mean (default), sum or none.
///   dx = 2 (x − t)·g;   dt = −dx;   g = dl, or dl/n for the mean
///   x, t of one shape → () or, with Reduction::none, that shape.  Saves x and t.
///
///   mse(prediction, target).backward();
///
/// Errors: shapes differ (losses do not broadcast).

#include <tuple>

#include "tandem/ops/loss_reduction.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
  requires(!std::is_same_v<T, bfloat16>)
Tensor<T> mse(const Tensor<T>& x, const Tensor<T>& target, Reduction reduction = Reduction::mean) {
  const char* const op = "mse";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_cpu(op, x, target);
  detail::require_same_shape(op, "prediction", x, "target", target);
  const Tensor<T> xs = x.detach().contiguous(), ts = target.detach().contiguous();
  const double scale = detail::reduction_scale(reduction, x.numel());
  const T *px = xs.data(), *pt = ts.data();
  const Tensor<T> out = detail::reduce_losses<T>(x.shape(), reduction, scale, [=](std::int64_t i) {
    const T difference = px[i] - pt[i];
    return difference * difference;
  });
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), ts = autograd::save(ts), reduction, scale](
          const Tensor<T>& dy, autograd::Needs need) {
        const detail::LossGradient<T> g(dy, reduction, scale);
        const T *a = xs.get().data(), *b = ts.get().data();
        const auto gradient = [&](T sign) {
          Tensor<T> d(xs.get().shape());
          T* to = d.mutable_data();
          cpu::parallel_for(d.numel(), cpu::elementwise_grain,
                            [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) to[i] = sign * (a[i] - b[i]) * g.at(i);
          });
          return d;
        };
        return std::tuple(need[0] ? gradient(T(2)) : Tensor<T>(),
                          need[1] ? gradient(T(-2)) : Tensor<T>());
      },
      x, target);
}

TANDEM_NAMESPACE_END
