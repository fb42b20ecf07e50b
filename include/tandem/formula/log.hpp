#pragma once
/// ln x;  dx = dy/x.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Log {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return log(x);
  }
};
struct LogGradient {
  static constexpr int cost = 2;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    return dy / x;
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
