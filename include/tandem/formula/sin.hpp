#pragma once
/// sin x;  dx = dy·cos x.   cos x;  dx = −dy·sin x.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct Sin {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return sin(x);
  }
};
struct SinGradient {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    return dy * cos(x);
  }
};
struct Cos {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return cos(x);
  }
};
struct CosGradient {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x) const {
    return -dy * sin(x);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
