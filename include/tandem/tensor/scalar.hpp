#pragma once
/// Numbers given where an element is expected: which of them an element type holds.
///
/// A number is never changed silently on its way into a tensor: an integer type takes the integers
/// of its range and nothing else, a floating type rounds to nearest and refuses a finite number
/// beyond its largest one. (Conversions of whole tensors, to<U>(), convert as C++ does: copy.hpp.)

#include <cstdint>
#include <type_traits>

#include "tandem/tensor/copy.hpp"
#include "tandem/tensor/dtype.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// 2ⁿ for the n value bits of an integer type, exact in every floating type: one above its largest
/// value.
template <class F, class I>
inline constexpr F above_largest = F(2) * static_cast<F>(std::uint64_t{1}
                                                         << (__CHAR_BIT__ * sizeof(I) -
                                                             (std::is_signed_v<I> ? 2 : 1)));

/// True when the integer type I holds the value of `s` exactly. Bool is "not zero" and takes
/// everything.
template <class I, class S>
requires(std::is_integral_v<I>&& std::is_arithmetic_v<S>) constexpr bool holds(S s) {
  if constexpr (std::is_same_v<I, bool> || std::is_same_v<S, bool>) {
    return true;
  } else if constexpr (std::is_floating_point_v<S>) {
    constexpr S above = above_largest<S, I>;
    if (!(s < above) || s < (std::is_signed_v<I> ? -above : S(0))) return false;  // NaN as well
    return static_cast<S>(static_cast<I>(s)) == s;
  } else {
    constexpr I largest =
        static_cast<I>(~(I(std::is_signed_v<I> ? 1 : 0) << (__CHAR_BIT__ * sizeof(I) - 1)));
    if constexpr (std::is_signed_v<S>) {
      if (s < 0) {
        return std::is_signed_v<I> &&
               static_cast<std::int64_t>(s) >= -static_cast<std::int64_t>(largest) - 1;
      }
    }
    return static_cast<std::uint64_t>(s) <= static_cast<std::uint64_t>(largest);
  }
}

/// `s` as a value of T, named `type` in the message; throws where T has no such value.
template <class T, class S>
T scalar_value(const char* op, S s, DType type) {
  if constexpr (std::is_same_v<T, S>) {
    return s;
  } else if constexpr (std::is_integral_v<T>) {
    TANDEM_CHECK(holds<T>(s), op, "the scalar ", s, " is not a value of ", type);
    return convert_element<T>(s);
  } else {
    const T value = convert_element<T>(s);
    if constexpr (std::is_floating_point_v<S>) {
      TANDEM_CHECK(
          is_finite(static_cast<S>(
              static_cast<std::conditional_t<std::is_same_v<T, bfloat16>, float, T>>(value))) ==
              is_finite(s),
          op, "the scalar ", s, " is too large for ", type);
    }
    return value;
  }
}

/// `s` as an element of T: full<std::uint8_t>({3}, 300) and x + 1e300 of floats are refused.
template <Element T, class S>
requires(std::is_arithmetic_v<S> || std::is_same_v<S, T>) T scalar_element(const char* op, S s) {
  return scalar_value<T>(op, s, dtype_of<T>);
}

/// As scalar_element, for a number whose fraction an integer type may drop.
template <Element T>
void require_in_range(const char* op, double value) {
  if constexpr (std::is_integral_v<T>)
    value = value < 0 ? __builtin_ceil(value) : __builtin_floor(value);
  (void)scalar_element<T>(op, value);
}

}  // namespace detail

TANDEM_NAMESPACE_END
