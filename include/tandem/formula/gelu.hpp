#pragma once
/// x·Φ(x), Φ(x) = (1 + erf(x/√2))/2;  dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π).
/// Its form with tanh: Φ(x) ≈ s = (1 + tanh u)/2 = σ(2u), u = √(2/π)·(x + 0.044715·x³);
/// dx = dy·s·(1 + 2x·u′·(1 − s)).

#include "tandem/formula/sigmoid.hpp"

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

/// 2u of x. As σ(2u) the tail keeps its digits, which 1 + tanh u would lose.
template <class V>
TANDEM_FORMULA V twice_gelu_tanh(V x) {
  using C = element_t<V>;
  return V(C(1.5957691216057307117)) * fma(V(C(0.044715)) * x, x * x, x);
}

struct GeluTanh {
  static constexpr int cost = 14;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return x * sigmoid(twice_gelu_tanh(x));
  }
};
struct GeluTanhGradient {
  static constexpr int cost = 18;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    using C = element_t<V>;
    const V one(C(1)), near = min(V(C(64)), max(V(C(-64)), x));  // beyond, s is 0 or 1
    const V s = sigmoid(twice_gelu_tanh(near));
    const V slope = V(C(1.5957691216057307117)) * fma(V(C(0.134145)) * near, near, one);
    return dy * s * fma(near * slope, one - s, one);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
