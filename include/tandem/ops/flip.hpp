#pragma once
/// flip — y = x with the order of one or several dimensions reversed.
///   dx = dy, reversed in the same way.   Composed of index_select.
///   x (…) → same shape, a copy.  Saves the places.
///
///   const auto x = tensor<float>({{1, 2}, {3, 4}});
///   flip(x, -1);       // → [[2., 1.], [4., 3.]]
///   flip(x, {0, 1});   // → [[4., 3.], [2., 1.]]
///
/// Errors: no dimension, one out of range or given twice.

#include <cstdint>

#include "tandem/ops/index_select.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> flip(const Tensor<T>& x, const Shape& dims) {
  detail::require_defined("flip", "x", x);
  TANDEM_CHECK(dims.rank() > 0, "flip", "no dimension was given");
  const unsigned bits = detail::dim_bits("flip", dims, x.rank());
  Tensor<T> y = x;
  for (int d = 0; d < x.rank(); ++d) {
    if ((bits >> d & 1u) == 0) continue;
    const std::int64_t n = x.shape()[d];
    const Tensor<std::int64_t> ids({n});
    for (std::int64_t i = 0; i < n; ++i) ids.mutable_data()[i] = n - 1 - i;
    y = index_select(y, d, ids.to(x.device()));
  }
  return y;
}
template <Element T, DimensionNumber D>
Tensor<T> flip(const Tensor<T>& x, D dim) {
  return flip(x, Shape{static_cast<std::int64_t>(dim)});
}

TANDEM_NAMESPACE_END
