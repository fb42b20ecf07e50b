#pragma once
/// √x, correctly rounded;  dx = dy/(2y).

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Sqrt {
  static constexpr int cost = 2;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return sqrt(x);
  }
};
struct SqrtGradient {
  static constexpr int cost = 2;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V y) const {
    return dy / (y + y);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
