#pragma once
/// bce_with_logits — binary cross-entropy between t and σ(x), from the logits x.
///   l = w·(max(x, 0) − x·t + log(1 + e^−|x|)),  which is −t log σ(x) − (1 − t) log(1 − σ(x))
///   dx = w·(σ(x) − t)·g;   g = dl, or dl/n for the mean
///   x, t, weight, mask of one shape → () or, with Reduction::none, that shape.
///   Saves x, t, weight and mask.
///   No exponential of a positive number: finite for every finite x.
///
///   const auto logits = tensor<float>({0, 2, -1}), labels = tensor<float>({1, 1, 0});
///   bce_with_logits(logits, labels);                         // → 0.3778
///   bce_with_logits(logits, labels, {.mask = logits > 1});   // → 0.1269
///
/// Where the mask is false the element has loss and gradient 0 and does not count in the mean; its
/// x and t may be anything, NaN included. Targets are constants: one that needs a gradient is
/// refused. A GPU adds floats in float, in a fixed order. Errors: shapes differ (losses do not
/// broadcast).

#include <tuple>

#include "tandem/ops/parts/loss_reduction.hpp"

TANDEM_NAMESPACE_BEGIN

/// How the losses of the elements become one, their weights, and which take part.
template <FloatingElement T>
struct BceOptions {
  Reduction reduction = Reduction::mean;
  Tensor<T> weight = {};   ///< w, of the shape of x; undefined: 1
  Tensor<bool> mask = {};  ///< true = takes part; undefined: all do
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> bce_with_logits(
    const Tensor<T>& x, const Tensor<T>& target,
    const std::type_identity_t<BceOptions<T>>& options = {}) {
  const char* const op = "bce_with_logits";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_given_or_none(op, "weight", options.weight, "mask", options.mask);
  detail::require_same_device(op, x, target, options.weight, options.mask);
  using Loss = formula::BceLoss<T>;
  using Gradient = formula::BceLossGradient<T>;
  detail::require_kernels(op, x, detail::loss_forward<Loss, T>, detail::loss_backward<Gradient, T>);
  autograd::refuse_grad(op, target, options.weight);
  detail::require_same_shape(op, "logits", x, "target", target);
  Tensor<T> ws;
  Tensor<bool> ms;
  Tensor<std::int64_t> counted;  // how many elements take part, for a mean with a mask
  if (options.weight.defined()) {
    detail::require_same_shape(op, "logits", x, "weight", options.weight);
    ws = options.weight.contiguous();
  }
  if (options.mask.defined()) {
    detail::require_same_shape(op, "logits", x, "mask", options.mask);
    ms = options.mask.contiguous();
    if (options.reduction == Reduction::mean) counted = Tensor<std::int64_t>(Shape(), x.device());
  }
  const Tensor<T> xs = x.detach().contiguous(), ts = target.contiguous();
  const Reduction reduction = options.reduction;
  const Tensor<T> out(reduction == Reduction::none ? x.shape() : Shape(), x.device());
  const bool* const mask = detail::data_or_null(ms);
  detail::loss_forward<Loss, T>(
      x.device(), Loss{xs.device_data(), ts.device_data(), detail::data_or_null(ws), mask},
      out.mutable_device_data(), x.numel(), reduction, counted.defined() ? mask : nullptr,
      counted.defined() ? counted.mutable_device_data() : nullptr);
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), ts = autograd::save(ts), ws = autograd::save(ws),
       ms = autograd::save(ms), counted = autograd::save(counted),
       reduction](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(xs.get().shape(), dy.device());
        const Gradient gradient{xs.get().device_data(), ts.get().device_data(),
                                detail::data_or_null(ws.get()), detail::data_or_null(ms.get())};
        detail::loss_backward<Gradient, T>(dy.device(), gradient, dx.mutable_device_data(),
                                           g.device_data(), dx.numel(), reduction,
                                           detail::data_or_null(counted.get()));
        return std::tuple(dx);
      },
      x);
}

/// bce_with_logits(x, t, Reduction::sum), without weights or mask.
template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> bce_with_logits(const Tensor<T>& x,
                                                                 const Tensor<T>& target,
                                                                 Reduction reduction) {
  return bce_with_logits(x, target, BceOptions<T>{.reduction = reduction});
}
TANDEM_ONE_TYPE_ONLY(bce_with_logits)

TANDEM_NAMESPACE_END
