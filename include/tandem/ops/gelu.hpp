#pragma once
/// gelu — y = x·Φ(x) = x·(1 + erf(x/√2))/2, exact.          [Hendrycks & Gimpel 2016, section 2]
///   dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π)
///   x (…) → same shape.  Saves x.
///
///   Tensor<float> h = gelu(linear(x, w, b));

#include <tuple>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Φ(x), the normal distribution.
template <class V>
TANDEM_ALWAYS_INLINE V normal_cdf(V x) {
  using C = typename V::value_type;
  return V(C(0.5)) + V(C(0.5)) * cpu::erf(x * V(C(0.70710678118654752440)));
}

struct Gelu {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return x * normal_cdf(x);
  }
};
struct GeluGradient {
  static constexpr int cost = 24;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V x) const {
    using C = typename V::value_type;
    const V density = cpu::exp(x * x * V(C(-0.5))) * V(C(0.39894228040143267794));
    return dy * (normal_cdf(x) + x * density);
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> gelu(const Tensor<T>& x) {
  detail::require_defined("gelu", "x", x);
  Tensor<T> out = detail::map("gelu", detail::Gelu(), x);
  return autograd::record(
      "gelu", out,
      [x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("gelu", detail::GeluGradient(), dy, x.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
