#pragma once
/// x²;  dx = 2·x·dy.

#include "tandem/formula/arithmetic.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Square {
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return Mul()(x, x);
  }
};
struct SquareGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    return dy * (x + x);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
