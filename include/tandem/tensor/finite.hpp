#pragma once
/// is_nan and is_finite, of numbers.

#include <cstdint>
#include <type_traits>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN

/// As std::isnan and std::isfinite, but right also where a program is compiled with -fno-honor-nans
/// or -fno-honor-infinities: the standard library's are compiled under the program's flags, these
/// under ours.
template <class T>
requires(std::is_floating_point_v<T>) constexpr bool is_nan(T x) { return x != x; }
template <class T>
requires(std::is_floating_point_v<T>) constexpr bool is_finite(T x) { return x - x == T(0); }

/// Where the first of n numbers stands that is not finite; -1 when all are.
template <class T>
constexpr std::int64_t find_not_finite(const T* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (!is_finite(x[i])) return i;
  }
  return -1;
}

TANDEM_NAMESPACE_END
