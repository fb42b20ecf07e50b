#pragma once
/// bce_with_logits — binary cross-entropy between t and σ(x), from the logits x.
///   l = w·(max(x, 0) − x·t + log(1 + e^−|x|)),  which is −t log σ(x) − (1 − t) log(1 − σ(x))
///   dx = w·(σ(x) − t)·g;   g = dl, or dl/n for the mean
///   x, t, weight, mask of one shape → () or, with Reduction::none, that shape.
///   Saves x, t, weight and mask.
///   No exponential of a positive number: finite for every finite x.
///
///   bce_with_logits(logits, labels).backward();
///   bce_with_logits(logits, pseudo_labels, {.mask = confident});   // the mean over confident ones
///
/// Where the mask is false the element has loss and gradient 0 and does not count in the mean; its
/// x and t may be anything, NaN included. Targets are constants: one that needs a gradient is
/// refused. Errors: shapes differ (losses do not broadcast).

#include <cmath>
#include <tuple>

#include "tandem/ops/loss_reduction.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
struct BceOptions {
  Reduction reduction = Reduction::mean;
  Tensor<T> weight = {};   ///< w, of the shape of x; undefined: 1
  Tensor<bool> mask = {};  ///< true = takes part; undefined: all do
};

template <FloatingElement T>
  requires(!std::is_same_v<T, bfloat16>)
Tensor<T> bce_with_logits(const Tensor<T>& x, const Tensor<T>& target,
                          const std::type_identity_t<BceOptions<T>>& options = {}) {
  const char* const op = "bce_with_logits";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_given_or_none(op, "weight", options.weight, "mask", options.mask);
  detail::require_cpu(op, x, target, options.weight, options.mask);
  autograd::refuse_grad(op, target, options.weight);
  detail::require_same_shape(op, "logits", x, "target", target);
  Tensor<T> ws;
  Tensor<bool> ms;
  if (options.weight.defined()) {
    detail::require_same_shape(op, "logits", x, "weight", options.weight);
    ws = options.weight.contiguous();
  }
  std::int64_t count = x.numel();
  if (options.mask.defined()) {
    detail::require_same_shape(op, "logits", x, "mask", options.mask);
    ms = options.mask.contiguous();
    const bool* m = ms.data();
    count = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) count += m[i] ? 1 : 0;
  }
  const Tensor<T> xs = x.detach().contiguous(), ts = target.contiguous();
  const Reduction reduction = options.reduction;
  const double scale = detail::reduction_scale(reduction, count);

  const T *px = xs.data(), *pt = ts.data(), *pw = ws.defined() ? ws.data() : nullptr;
  const bool* pm = ms.defined() ? ms.data() : nullptr;
  const Tensor<T> out = detail::reduce_losses<T>(x.shape(), reduction, scale, [=](std::int64_t i) {
    if (pm != nullptr && !pm[i]) return T(0);
    const T z = px[i], magnitude = z < 0 ? -z : z;
    const T loss = (z > 0 ? z : T(0)) - z * pt[i] + std::log1p(std::exp(-magnitude));
    return pw != nullptr ? pw[i] * loss : loss;
  });
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), ts = autograd::save(ts), ws = autograd::save(ws),
       ms = autograd::save(ms), reduction, scale](const Tensor<T>& dy, autograd::Needs) {
        const detail::LossGradient<T> g(dy, reduction, scale);
        const T *z = xs.get().data(), *t = ts.get().data();
        const T* w = ws.defined() ? ws.get().data() : nullptr;
        const bool* m = ms.defined() ? ms.get().data() : nullptr;
        Tensor<T> dx(xs.get().shape());
        T* to = dx.mutable_data();
        cpu::parallel_for(dx.numel(), cpu::elementwise_grain / 8,
                          [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            if (m != nullptr && !m[i]) {
              to[i] = 0;
              continue;
            }
            const T e = std::exp(z[i] < 0 ? z[i] : -z[i]);  // in (0, 1]
            const T sigma = (z[i] < 0 ? e : T(1)) / (1 + e);
            to[i] = (w != nullptr ? w[i] : T(1)) * (sigma - t[i]) * g.at(i);
          }
        });
        return std::tuple(dx);
      },
      x);
}

/// bce_with_logits(x, t, Reduction::sum), without weights or mask.
template <FloatingElement T>
  requires(!std::is_same_v<T, bfloat16>)
Tensor<T> bce_with_logits(const Tensor<T>& x, const Tensor<T>& target, Reduction reduction) {
  return bce_with_logits(x, target, BceOptions<T>{.reduction = reduction});
}

TANDEM_NAMESPACE_END
