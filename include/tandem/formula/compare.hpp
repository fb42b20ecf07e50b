#pragma once
/// =, ≠, <, ≤, >, ≥ of two numbers; and, or, neither of two bits; whether a number is NaN,
/// infinite, finite.

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

/// Of the first of two numbers, so that they go through the same loops: a − a is NaN for ±∞.
#define TANDEM_CLASS_FORMULA(Name, result)         \
  struct Name {                                    \
    template <class V>                             \
    TANDEM_FORMULA bool operator()(V a, V) const { \
      return result;                               \
    }                                              \
  };
TANDEM_CLASS_FORMULA(IsNan, a != a)
TANDEM_CLASS_FORMULA(IsInfinite, a == a && a - a != a - a)
TANDEM_CLASS_FORMULA(IsFinite, a - a == V(0))
#undef TANDEM_CLASS_FORMULA

}  // namespace formula
TANDEM_NAMESPACE_END
