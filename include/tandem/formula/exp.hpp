#pragma once
/// eˣ;  dx = dy·y.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Exp {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return exp(x);
  }
};
struct ExpGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V y) const {
    return dy * y;
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
