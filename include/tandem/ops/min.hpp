#pragma once
/// min — the smallest element along a dimension, and where it is.
///   dx = dy at the chosen element, 0 elsewhere.
///   x (…, n, …) → {values, indices}, both without that dimension or with size 1 there (keepdim);
///   min(x) alone takes all elements → ().  Saves the indices.
///
///   const auto x = tensor<float>({{1, 5, 1}, {7, 0, 2}});
///   auto [values, indices] = min(x, 1);   // → [1., 0.], [0, 1]
///   min(x);                               // → 0.
///
/// The first of equal elements is chosen, and gets the whole gradient; NaN wins over everything.
/// Errors: a dimension out of range, or an empty one.

#include <cstdint>

#include "tandem/ops/parts/extremum.hpp"

TANDEM_NAMESPACE_BEGIN

template <ArithmeticElement T>
Extremum<T> min(const Tensor<T>& x, Dim dim, bool keepdim = false) {
  return detail::extremum<-1>("min", x, dim, keepdim);
}
template <ArithmeticElement T>
Tensor<T> min(const Tensor<T>& x) {
  detail::require_defined("min", "x", x);
  return min(x.flatten(), 0).values;
}

TANDEM_NAMESPACE_END
