#pragma once
/// tanh x;  dx = dy·(1 − y²).

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Tanh {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return tanh(x);
  }
};
struct TanhGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V y) const {
    return dy * (V(element_t<V>(1)) - y * y);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
