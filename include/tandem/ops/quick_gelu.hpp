#pragma once
/// quick_gelu — y = x·σ(1.702x), the activation of CLIP.    [Hendrycks & Gimpel 2016, section 2]
///   dx = dy·(s + 1.702x·s·(1 − s)),  s = σ(1.702x)
///   x (…) → same shape.  Saves x.
///
///   Tensor<float> h = quick_gelu(linear(x, w, b));

#include <tuple>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct QuickGelu {
  static constexpr int cost = 10;
  template <class T>
  static auto kernel() {
    return cuda::kernels<T>().quick_gelu;
  }
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return x * cpu::sigmoid(x * V(typename V::value_type(1.702)));
  }
};
struct QuickGeluGradient {
  static constexpr int cost = 12;
  template <class T>
  static auto kernel() {
    return cuda::kernels<T>().quick_gelu_backward;
  }
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V x) const {
    using C = typename V::value_type;
    const V z = x * V(C(1.702));
    const V s = cpu::sigmoid(z);
    return dy * (s + z * (s * (V(C(1)) - s)));
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> quick_gelu(const Tensor<T>& x) {
  detail::require_defined("quick_gelu", "x", x);
  Tensor<T> out = detail::map("quick_gelu", detail::QuickGelu(), x);
  return autograd::record(
      "quick_gelu", out,
      [x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("quick_gelu", detail::QuickGeluGradient(), dy, x.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
