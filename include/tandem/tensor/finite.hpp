#pragma once
/// is_nan and is_finite, of numbers.

#include <type_traits>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN

/// As std::isnan and std::isfinite, but right also where a program is compiled with -fno-honor-nans or
/// -fno-honor-infinities: the standard library's are compiled under the program's flags, these under ours.
template <class T>
  requires(std::is_floating_point_v<T>)
constexpr bool is_nan(T x) {
  return x != x;
}
template <class T>
  requires(std::is_floating_point_v<T>)
constexpr bool is_finite(T x) {
  return x - x == T(0);
}

TANDEM_NAMESPACE_END
