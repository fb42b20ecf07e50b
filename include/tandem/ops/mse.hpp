#pragma once
/// mse — mean squared error, l = (x − t)², reduced by mean (default), sum or none.
///   dx = 2 (x − t)·g;   dt = −dx;   g = dl, or dl/n for the mean
///   x, t of one shape → () or, with Reduction::none, that shape.  Saves x and t.
///
///   mse(tensor<float>({1, 2}), tensor<float>({0, 5}));   // → 5.
///
/// Errors: shapes differ (losses do not broadcast).

#include <tuple>

#include "tandem/ops/parts/loss_reduction.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> mse(const Tensor<T>& x, const Tensor<T>& target,
                                                     Reduction reduction = Reduction::mean) {
  const char* const op = "mse";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_same_device(op, x, target);
  using Loss = formula::MseLoss<T>;
  using OfX = formula::MseLossGradient<T, 2>;
  using OfTarget = formula::MseLossGradient<T, -2>;
  detail::require_kernels(op, x, detail::loss_forward<Loss, T>, detail::loss_backward<OfX, T>,
                          detail::loss_backward<OfTarget, T>);
  detail::require_same_shape(op, "prediction", x, "target", target);
  const Tensor<T> xs = x.detach().contiguous(), ts = target.detach().contiguous();
  const Tensor<T> out(reduction == Reduction::none ? x.shape() : Shape(), x.device());
  detail::loss_forward<Loss, T>(x.device(), Loss{xs.device_data(), ts.device_data()},
                                out.mutable_device_data(), x.numel(), reduction, nullptr, nullptr);
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), ts = autograd::save(ts), reduction](const Tensor<T>& dy,
                                                                    autograd::Needs need) {
        const Tensor<T> g = dy.contiguous();
        const T *a = xs.get().device_data(), *b = ts.get().device_data();
        const auto gradient = [&]<class G>(const G& of) {
          const Tensor<T> d(xs.get().shape(), dy.device());
          detail::loss_backward<G, T>(dy.device(), of, d.mutable_device_data(), g.device_data(),
                                      d.numel(), reduction, nullptr);
          return d;
        };
        return std::tuple(need[0] ? gradient(OfX{a, b}) : Tensor<T>(),
                          need[1] ? gradient(OfTarget{a, b}) : Tensor<T>());
      },
      x, target);
}
TANDEM_ONE_TYPE_ONLY(mse)

TANDEM_NAMESPACE_END
