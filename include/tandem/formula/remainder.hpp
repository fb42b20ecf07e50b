#pragma once
/// a − b·⌊a/b⌋, of b's sign;  da = dy,  db = −dy·⌊a/b⌋.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

namespace detail {
/// f(a, b), or of vectors lane by lane.
template <class V, class F>
TANDEM_FORMULA V each_lane(V a, V b, const F& f) {
  if constexpr (std::is_floating_point_v<V>) {
    return f(a, b);
  } else {
    for (int i = 0; i < V::size; ++i) a.raw[i] = f(a.raw[i], b.raw[i]);
    return a;
  }
}

struct RemainderOfNumbers {
  template <class C>
  TANDEM_FORMULA C operator()(C a, C b) const {
    const C r = fmod(a, b);  // exact, of a's sign
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
};
/// ⌊a/b⌋: a/b itself may round up to the next integer, (a − r)/b is whole but for its rounding.
struct FloorOfQuotient {
  template <class C>
  TANDEM_FORMULA C operator()(C a, C b) const {
    const C r = fmod(a, b), quotient = (a - r) / b, below = floor(quotient);
    const C whole = quotient - below > C(0.5) ? below + C(1) : below;
    return r != 0 && (r < 0) != (b < 0) ? whole - C(1) : whole;
  }
};
}  // namespace detail

/// A divisor of zero gives NaN; among integers it is the caller's to refuse (ops/remainder.hpp).
struct Remainder {
  static constexpr int cost = 32;
  template <class V>
  TANDEM_FORMULA V operator()(V a, V b) const {
    if constexpr (std::is_integral_v<V>) {
      if constexpr (std::is_signed_v<V>) {
        if (b == -1) return V(0);  // the most negative number by it overflows
      }
      const V r = static_cast<V>(a % b);
      return r != 0 && (r < 0) != (b < 0) ? static_cast<V>(r + b) : r;
    } else {
      return detail::each_lane(a, b, detail::RemainderOfNumbers());
    }
  }
};
struct RemainderDivisorGradient {
  static constexpr int cost = 32;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V a, V b) const {
    return -dy * detail::each_lane(a, b, detail::FloorOfQuotient());
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
