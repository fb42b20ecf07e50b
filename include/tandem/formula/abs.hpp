#pragma once
/// |x|;  dx = dy·sign(x), 0 at 0 and at NaN.

#include "tandem/formula/arithmetic.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Abs {
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    if constexpr (std::is_unsigned_v<V>) {
      return x;
    } else if constexpr (std::is_integral_v<V>) {
      return x < V(0) ? Neg()(x) : x;
    } else {
      return abs(x);
    }
  }
};
struct AbsGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    const V zero(element_t<V>(0));
    return select(x > zero, dy, select(x < zero, -dy, zero));
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
