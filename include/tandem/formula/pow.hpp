#pragma once
/// xᵖ for a number p;  dx = dy·p·xᵖ⁻¹.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

/// factor·xᵖ for a whole p, by multiplying.
struct WholePower {
  int p;
  double factor;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    using C = element_t<V>;
    const V one(C(1));
    V y = one;
    for (int i = 0; i < (p < 0 ? -p : p); ++i) y = y * x;
    return V(static_cast<C>(factor)) * (p < 0 ? one / y : y);
  }
};
/// factor·xᵖ by the C library's pow in double, lane by lane.
struct Power {
  static constexpr int cost = 64;
  double p, factor;
  template <class V>
  TANDEM_FORMULA V operator()(V x) const {
    using C = element_t<V>;
    if constexpr (std::is_floating_point_v<V>) {
      return static_cast<C>(factor * pow(static_cast<double>(x), p));
    } else {
      for (int i = 0; i < V::size; ++i) {
        x.raw[i] = static_cast<C>(factor * pow(static_cast<double>(x.raw[i]), p));
      }
      return x;
    }
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
