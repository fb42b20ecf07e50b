#pragma once
/// x·s, s = σ(x);  dx = dy·s·(1 + x·(1 − s)).

#include "tandem/formula/sigmoid.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Silu {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return x * sigmoid(x);
  }
};
struct SiluGradient {
  static constexpr int cost = 12;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    const V one(element_t<V>(1)), s = sigmoid(x);
    return dy * s * fma(x, one - s, one);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
