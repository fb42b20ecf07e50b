#pragma once
/// x·s, s = σ(1.702x);  dx = dy·s·(1 + 1.702x·(1 − s)).

#include "tandem/formula/sigmoid.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct QuickGelu {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return x * sigmoid(x * V(element_t<V>(1.702)));
  }
};
struct QuickGeluGradient {
  static constexpr int cost = 12;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    const V one(element_t<V>(1)), z = x * V(element_t<V>(1.702)), s = sigmoid(z);
    return dy * s * fma(z, one - s, one);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
