#pragma once
/// ln(1 + eˣ) = max(0, x) + ln(1 + e^−|x|);  dx = dy·σ(x).

#include "tandem/formula/sigmoid.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Softplus {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return max(V(element_t<V>(0)), x) + log1p(exp(-abs(x)));
  }
};
struct SoftplusGradient {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    return dy * sigmoid(x);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
