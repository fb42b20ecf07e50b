#pragma once
/// 1/√x;  dx = −½·dy·y³.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Rsqrt {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return V(element_t<V>(1)) / sqrt(x);
  }
};
struct RsqrtGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V y) const {
    return V(element_t<V>(-0.5)) * dy * y * (y * y);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
