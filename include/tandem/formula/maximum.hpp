#pragma once
/// max(a, b) and min(a, b), NaN if either is;  da = dy where a wins, dy/2 where both are equal,
/// else 0 (and dy where one is NaN). The same with a and b exchanged is db.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Maximum {
  template <class V>
  TANDEM_FORMULA V operator()(V a, V b) const {
    if constexpr (std::is_integral_v<V>) {
      return a > b ? a : b;
    } else {
      return max_nan(a, b);
    }
  }
};
struct Minimum {
  template <class V>
  TANDEM_FORMULA V operator()(V a, V b) const {
    if constexpr (std::is_integral_v<V>) {
      return a < b ? a : b;
    } else {
      return -max_nan(-a, -b);
    }
  }
};
struct MaximumGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V a, V b) const {
    using C = element_t<V>;
    return select(a == b, V(C(0.5)) * dy, select(a < b, V(C(0)), dy));
  }
};
struct MinimumGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V a, V b) const {
    using C = element_t<V>;
    return select(a == b, V(C(0.5)) * dy, select(a > b, V(C(0)), dy));
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
