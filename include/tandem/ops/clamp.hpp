#pragma once
/// clamp — y = min(max(x, low), high);  clamp_min and clamp_max have one bound only.
///   dx = dy where low ≤ x ≤ high, 0 elsewhere.
///   x (…) → same shape.  Saves x.
///
///   clamp(p, 1e-6, 1 - 1e-6)
///
/// NaN stays NaN (and passes its gradient on). The bounds are converted to the element type.
/// Errors: low above high, or a bound that is NaN.

#include <limits>
#include <tuple>
#include <type_traits>

#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class C>
struct Clamp {
  C low, high;
  TANDEM_ALWAYS_INLINE C operator()(C x) const { return x < low ? low : x > high ? high : x; }
  template <class V>
  TANDEM_ALWAYS_INLINE auto vectors() const {
    return [least = V(low), most = V(high)](V x) TANDEM_INLINE_LAMBDA {
      return min(most, max(least, x));  // both give x if it is NaN
    };
  }
};
template <class C>
struct ClampGradient {
  C low, high;
  template <class V>
  TANDEM_ALWAYS_INLINE auto vectors() const {
    return [least = V(low), most = V(high)](V dy, V x) TANDEM_INLINE_LAMBDA {
      return select((x < least) | (x > most), V(C(0)), dy);
    };
  }
};

template <ArithmeticElement T>
Tensor<T> clamp(const char* op, const Tensor<T>& x, compute_t<T> low, compute_t<T> high) {
  TANDEM_CHECK(low <= high, op, "the lower bound ", low, " is above the upper bound ", high);
  Tensor<T> out = map(op, Clamp<compute_t<T>>{low, high}, x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, out,
        [op, x = autograd::save(x), low, high](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(map(op, ClampGradient<compute_t<T>>{low, high}, dy, x.get()));
        },
        x);
  }
  return out;
}

/// No bound: the infinities, or the limits of an integer type.
template <class C>
constexpr C no_bound(bool upper) {
  using Limits = std::numeric_limits<C>;
  if constexpr (Limits::has_infinity) return upper ? Limits::infinity() : -Limits::infinity();
  return upper ? Limits::max() : Limits::min();
}

}  // namespace detail

template <ArithmeticElement T, class A, class B>
  requires(std::is_arithmetic_v<A> && std::is_arithmetic_v<B>)
Tensor<T> clamp(const Tensor<T>& x, A low, B high) {
  using C = detail::compute_t<T>;
  return detail::clamp("clamp", x, detail::convert_element<C>(low), detail::convert_element<C>(high));
}
template <ArithmeticElement T, class S>
  requires(std::is_arithmetic_v<S>)
Tensor<T> clamp_min(const Tensor<T>& x, S low) {
  using C = detail::compute_t<T>;
  return detail::clamp("clamp_min", x, detail::convert_element<C>(low), detail::no_bound<C>(true));
}
template <ArithmeticElement T, class S>
  requires(std::is_arithmetic_v<S>)
Tensor<T> clamp_max(const Tensor<T>& x, S high) {
  using C = detail::compute_t<T>;
  return detail::clamp("clamp_max", x, detail::no_bound<C>(false), detail::convert_element<C>(high));
}

TANDEM_NAMESPACE_END
