#pragma once
/// max — the largest element along a dimension, and where it is.
///   dx = dy at the chosen element, 0 elsewhere.
///   x (…, n, …) → {values, indices}, both without that dimension or with size 1 there (keepdim);
///   max(x) alone takes all elements → ().  Saves the indices.
///
///   const auto x = tensor<float>({{1, 5, 5}, {7, 0, 2}});
///   auto [values, indices] = max(x, 1);   // → [5., 7.], [1, 0]
///   max(x);                               // → 7.
///
/// The first of equal elements is chosen, and gets the whole gradient; NaN wins over everything.
/// Errors: a dimension out of range, or an empty one.

#include <cstdint>

#include "tandem/ops/parts/extremum.hpp"

TANDEM_NAMESPACE_BEGIN

template <ArithmeticElement T>
Extremum<T> max(const Tensor<T>& x, Dim dim, bool keepdim = false) {
  return detail::extremum<1>("max", x, dim, keepdim);
}
template <ArithmeticElement T>
Tensor<T> max(const Tensor<T>& x) {
  detail::require_defined("max", "x", x);
  return max(x.flatten(), 0).values;
}

TANDEM_NAMESPACE_END
