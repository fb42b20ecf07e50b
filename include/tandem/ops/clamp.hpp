#pragma once
/// clamp, clamp_min, clamp_max — y = min(max(x, low), high), max(x, low), min(x, high).
///   dx = dy where low ≤ x ≤ high, 0 elsewhere; of one bound alike.
///   x (…) → same shape.  Saves x.
///
///   const auto x = tensor<float>({-3, 0.5, 2});
///   clamp(x, 0, 1);     // → [0., 0.5, 1.]
///   clamp_min(x, -1);   // → [-1., 0.5, 2.]
///   clamp_max(x, 0);    // → [-3., 0., 0.]
///
/// NaN stays NaN; its gradient is 0, as in PyTorch. For integers the bounds mean what they say:
/// between 0.5 and 300 lie the bytes 1 to 255. For floating types they are rounded to nearest.
/// Errors: low above high, a bound that is NaN, bounds between which the type has no value.

#include <limits>
#include <type_traits>

#include "tandem/formula/clamp.hpp"
#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/tensor/scalar.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <ArithmeticElement T>
Tensor<T> clamp(const char* op, const Tensor<T>& x, compute_t<T> low, compute_t<T> high) {
  TANDEM_CHECK(low <= high, op, "the lower bound ", low, " is above the upper bound ", high);
  const formula::Clamp<compute_t<T>> f{low, high};
  if constexpr (FloatingElement<T>) {
    return saving_input(op, f, x, formula::ClampGradient<compute_t<T>>{low, high});
  } else {
    return map(op, f, x);
  }
}

/// The smallest value of C that is not below `s` (or the largest not above it): a bound of clamp.
template <class C, bool Upper, class S>
C bound(const char* op, S s, DType type) {
  if constexpr (std::is_floating_point_v<S>) TANDEM_CHECK(!is_nan(s), op, "a bound is NaN");
  const auto refuse = [&] {
    fail(op, type, " has no value ", Upper ? "at or below " : "at or above ", s);
  };
  if constexpr (std::is_floating_point_v<C>) {
    const C value = static_cast<C>(s);
    if constexpr (std::is_floating_point_v<S>) {
      // Beyond the largest number on the far side there is no bound; on the near one only infinity
      // is left.
      if (is_finite(s) && !is_finite(value) && (s < 0) == Upper) refuse();
    }
    return value;
  } else if (holds<C>(s)) {
    return static_cast<C>(s);
  } else {
    constexpr C least = std::numeric_limits<C>::min(), most = std::numeric_limits<C>::max();
    bool below = false, above = false;  // the range of C
    if constexpr (std::is_floating_point_v<S>) {
      below = s < static_cast<S>(least);
      above = s >= above_largest<S, C>;
      if (!below && !above) {         // a fraction
        C whole = static_cast<C>(s);  // towards zero
        if (Upper && s < 0) --whole;
        if (!Upper && s > 0) {
          if (whole == most) refuse();
          ++whole;
        }
        return whole;
      }
    } else {
      if constexpr (std::is_signed_v<S>) below = s < 0;
      above = !below;
    }
    if (Upper ? below : above) refuse();
    return Upper ? most : least;
  }
}

/// clamp for any two numbers, checked in their own types first.
template <ArithmeticElement T, class A, class B>
Tensor<T> clamp_between(const char* op, const Tensor<T>& x, A low, B high) {
  detail::require_defined(op, "x", x);
  using C = compute_t<T>;
  const C least = bound<C, false>(op, low, dtype_of<T>),
          most = bound<C, true>(op, high, dtype_of<T>);
  if constexpr (std::is_integral_v<C>) {
    TANDEM_CHECK(least <= most, op, "no value of ", dtype_of<T>, " lies between the bounds ", low,
                 " and ", high);
  }
  return clamp(op, x, least, most);
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
requires(std::is_arithmetic_v<A>&& std::is_arithmetic_v<B>) Tensor<T> clamp(const Tensor<T>& x,
                                                                            A low, B high) {
  return detail::clamp_between("clamp", x, low, high);
}
template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> clamp_min(const Tensor<T>& x, S low) {
  return detail::clamp_between("clamp_min", x, low, detail::no_bound<detail::compute_t<T>>(true));
}
template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> clamp_max(const Tensor<T>& x, S high) {
  return detail::clamp_between("clamp_max", x, detail::no_bound<detail::compute_t<T>>(false), high);
}

TANDEM_NAMESPACE_END
