#pragma once
/// max(0, x), NaN stays;  dx = dy where y > 0 (or x > 0, which is the same), else 0.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Relu {
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return max(V(element_t<V>(0)), x);
  }
};
struct ReluGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V y) const {
    const V zero(element_t<V>(0));
    return select(y > zero, dy, zero);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
