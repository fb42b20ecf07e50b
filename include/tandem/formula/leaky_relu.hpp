#pragma once
/// x where x > 0, slope·x elsewhere;  dx = dy where x > 0, slope·dy elsewhere.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

template <class C>
struct LeakyRelu {
  C slope;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return select(x > V(C(0)), x, V(slope) * x);
  }
};
template <class C>
struct LeakyReluGradient {
  C slope;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    return select(x > V(C(0)), dy, V(slope) * dy);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
