#pragma once
/// =, ≠, <, ≤, >, ≥ of two numbers; and, or, neither of two bits.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

#define TANDEM_COMPARE_FORMULA(Name, result)         \
  struct Name {                                      \
    template <class V>                               \
    TANDEM_FORMULA bool operator()(V a, V b) const { \
      return result;                                 \
    }                                                \
  };
TANDEM_COMPARE_FORMULA(Equal, a == b)
TANDEM_COMPARE_FORMULA(NotEqual, a != b)
TANDEM_COMPARE_FORMULA(Less, a < b)
TANDEM_COMPARE_FORMULA(LessEqual, a <= b)
TANDEM_COMPARE_FORMULA(Greater, a > b)
TANDEM_COMPARE_FORMULA(GreaterEqual, a >= b)
TANDEM_COMPARE_FORMULA(Both, a&& b)
TANDEM_COMPARE_FORMULA(Either, a || b)
TANDEM_COMPARE_FORMULA(Neither, !a && !b)
#undef TANDEM_COMPARE_FORMULA

}  // namespace formula
TANDEM_NAMESPACE_END
