#pragma once
/// min(max(x, low), high), NaN stays;  dx = dy where low ≤ x ≤ high, else (and at NaN) 0.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

/// For vectors, vectors<V>() makes those of the bounds once, before the loop.
template <class C>
struct Clamp {
  C low, high;
  TANDEM_FORMULA C operator()(C x) const { return x < low ? low : x > high ? high : x; }
  template <class V>
  TANDEM_FORMULA auto vectors() const {
    return [least = V(low), most = V(high)](V x) TANDEM_INLINE_LAMBDA {
      return min(most, max(least, x));  // both give x if it is NaN
    };
  }
};
template <class C>
struct ClampGradient {
  C low, high;
  TANDEM_FORMULA C operator()(C dy, C x) const { return x >= low && x <= high ? dy : C(0); }
  template <class V>
  TANDEM_FORMULA auto vectors() const {
    return [least = V(low), most = V(high)](V dy, V x)
               TANDEM_INLINE_LAMBDA { return select((x >= least) & (x <= most), dy, V(C(0))); };
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
