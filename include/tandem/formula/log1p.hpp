#pragma once
/// ln(1 + x);  dx = dy/(1 + x).

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Log1p {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return log1p(x);
  }
};
struct Log1pGradient {
  static constexpr int cost = 2;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    return dy / (V(element_t<V>(1)) + x);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
