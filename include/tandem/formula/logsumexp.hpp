#pragma once
/// The gradient of y = ln Σ eˣ for an element:  dx = dy·e^(x−y);  0 where y is −∞, since nothing
/// took part.

#include <cmath>

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct LogSumExpGradient {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x, V y) const {
    using C = element_t<V>;
    const V none(static_cast<C>(-INFINITY));
    return select(y == none, V(C(0)), dy * exp(x - y));
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
