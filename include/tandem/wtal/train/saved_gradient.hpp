#pragma once
/// What goes back from a loss that found its gradient on the way forward, L = (1/n) Σ over n
/// frames:
///   dx = g·dy/max(1, n).

#include <algorithm>
#include <cstdint>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace detail {

/// y[i] = factor·x[i].
struct ScaledRow {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(T* y, const T* x, T factor, std::int64_t n) {
    cpu::vec_map<V>(
        n, y, [by = V(factor)](V v) TANDEM_INLINE_LAMBDA { return v * by; }, x);
  }
};
template <class T>
void saved_gradient_on_cpu(T* dx, const T* gradient, const T* dy, const std::int64_t* count,
                           std::int64_t n) {
  const double scale = 1 / static_cast<double>(std::max<std::int64_t>(1, *count));
  const T factor = T(static_cast<double>(*dy) * scale);
  cpu::parallel_for(n, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    cpu::simd_dispatch<ScaledRow, T>(dx + begin, gradient + begin, factor, end - begin);
  });
}

/// dx (n) = gradient (n)·*dy/max(1, *count).
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* gradient, const T* dy, const std::int64_t* count,
                         std::int64_t n)>
    saved_gradient{"saved_gradient", saved_gradient_on_cpu<T>};

/// The loss of a graph whose node keeps `gradient` and `count`, which the forward has written.
template <FloatingElement T>
Tensor<T> record_saved_gradient(const char* op, const Tensor<T>& loss, const Tensor<T>& gradient,
                                const Tensor<std::int64_t>& count, const Tensor<T>& x) {
  return autograd::record(
      op, loss,
      [gradient = autograd::save(gradient), count = autograd::save(count)](const Tensor<T>& dy,
                                                                           autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(gradient.get().shape(), dy.device());
        saved_gradient<T>(dy.device(), dx.mutable_device_data(), gradient.get().device_data(),
                          g.device_data(), count.get().device_data(), dx.numel());
        return std::tuple(dx);
      },
      x);
}

}  // namespace detail
}  // namespace wtal
TANDEM_NAMESPACE_END
