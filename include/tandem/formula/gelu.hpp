#pragma once
/// x·Φ(x), Φ(x) = (1 + erf(x/√2))/2;  dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π).

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

/// Φ(x), the normal distribution.
template <class V>
TANDEM_FORMULA V normal_cdf(V x) {
  using C = element_t<V>;
  return V(C(0.5)) + V(C(0.5)) * erf(x * V(C(0.70710678118654752440)));
}

struct Gelu {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return x * normal_cdf(x);
  }
};
struct GeluGradient {
  static constexpr int cost = 24;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    using C = element_t<V>;
    const V density = V(C(0.39894228040143267794)) * exp(V(C(-0.5)) * x * x);
    return dy * fma(x, density, normal_cdf(x));
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
