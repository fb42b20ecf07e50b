#pragma once
/// σ(x) = 1/(1 + e⁻ˣ);  dx = dy·y·(1 − y).

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

/// Of a number as cpu/vmath.hpp computes it for vectors: q = e/(1 + e), e = e^−|x|, is at most ½,
/// and 1 − q or, below 0, e − e·q follow from it without cancellation.
template <class C>
requires(std::is_floating_point_v<C>) TANDEM_FORMULA C sigmoid(C x) {
  const C e = exp(-abs(x)), q = e / (C(1) + e);
  return x < C(0) ? e - e * q : C(1) - q;
}

struct Sigmoid {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return sigmoid(x);
  }
};
struct SigmoidGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V y) const {
    return dy * y * (V(element_t<V>(1)) - y);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
