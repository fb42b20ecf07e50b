#pragma once
/// a + b, a − b, a·b, a/b, −a, with a number in place of either operand; the gradients that are not
/// one of them.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

namespace detail {
/// Integers are combined as unsigned, whose overflow is defined; in a type that C++ promotes to no
/// signed one.
template <class V>
using wide_t = decltype(std::make_unsigned_t<V>() + 0u);
template <class V>
TANDEM_FORMULA wide_t<V> wide(V a) {
  return static_cast<wide_t<V>>(static_cast<std::make_unsigned_t<V>>(a));
}
}  // namespace detail

#define TANDEM_ARITHMETIC(Name, symbol)                                \
  struct Name {                                                        \
    template <class V>                                                 \
    TANDEM_FORMULA V operator()(V a, V b) const {                      \
      if constexpr (std::is_integral_v<V>) {                           \
        return static_cast<V>(detail::wide(a) symbol detail::wide(b)); \
      } else {                                                         \
        return a symbol b;                                             \
      }                                                                \
    }                                                                  \
  };
TANDEM_ARITHMETIC(Add, +)
TANDEM_ARITHMETIC(Sub, -)
TANDEM_ARITHMETIC(Mul, *)
#undef TANDEM_ARITHMETIC

/// Integers truncate, and wrap around for the most negative one by −1. A divisor of zero is the
/// caller's to refuse (ops/arithmetic.hpp).
struct Div {
  template <class V>
  TANDEM_FORMULA V operator()(V a, V b) const {
    if constexpr (std::is_integral_v<V> && std::is_signed_v<V>) {
      if (b == -1) return Sub()(V(0), a);
    }
    return static_cast<V>(a / b);
  }
};
struct Neg {
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    if constexpr (std::is_integral_v<V>) {
      return Sub()(V(0), x);
    } else {
      return -x;
    }
  }
};
/// −(dy/b)·y, the gradient of the divisor.
struct DivisorGradient {
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V b, V y) const {
    return -(dy / b) * y;
  }
};

/// f(x, s) and f(s, x) for a number s.
template <class F, class C>
struct ScalarRight {
  C s;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return F()(x, V(s));
  }
};
template <class F, class C>
struct ScalarLeft {
  C s;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    return F()(V(s), x);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
