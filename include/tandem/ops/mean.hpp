#pragma once
/// mean — y = (Σ x) / n over all or the given dimensions, n terms each.
///   dx = dy / n, repeated.   Composed of sum and div.
///   x (…) → the shape without those dimensions, or with size 1 there (keepdim).
///
///   const auto x = tensor<float>({{1, 2}, {3, 6}});
///   mean(x);             // → 3.
///   mean(x, -1, true);   // → [[1.5], [4.5]]
///
/// Errors: a dimension out of range or given twice; no elements to average.

#include <cstdint>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/ops/sum.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> mean(const Tensor<T>& x, const Shape& dims, bool keepdim = false) {
  detail::require_defined("mean", "x", x);
  const unsigned bits = detail::dim_bits("mean", dims, x.rank());
  std::int64_t n = 1;
  for (int d = 0; d < x.rank(); ++d) n *= (bits >> d & 1u) != 0 ? x.shape()[d] : 1;
  TANDEM_CHECK(n > 0, "mean", "there is nothing to average in shape ", x.shape());
  return div(sum(x, dims, keepdim), static_cast<double>(n));
}

template <FloatingElement T, DimensionNumber D>
Tensor<T> mean(const Tensor<T>& x, D dim, bool keepdim = false) {
  return mean(x, Shape{static_cast<std::int64_t>(dim)}, keepdim);
}
template <FloatingElement T>
Tensor<T> mean(const Tensor<T>& x) {
  return mean(x, Shape());
}
TANDEM_FLOATS_ONLY(mean)
template <Element T>
requires(!FloatingElement<T>) detail::these_are_not_floats_convert_by_to_float
    mean(const Tensor<T>&, const Shape&, bool keepdim = false)
= delete;

TANDEM_NAMESPACE_END
