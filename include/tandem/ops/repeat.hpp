#pragma once
/// repeat — y = x, so many times along each dimension: x, x, x … (NumPy's tile).
///   dx = the sum of dy over the copies.   Composed of views and a copy.
///   x (n₀, n₁, …), times (t₀, t₁, …) → (t₀·n₀, t₁·n₁, …).  Saves nothing.  Where there are more
///   times than dimensions, x gets leading ones of size 1.
///
///   repeat(tensor<float>({1, 2}), {2, 3});
///   // → [[1., 2., 1., 2., 1., 2.], [1., 2., 1., 2., 1., 2.]]
///   repeat(ones<float>({3, 4, 5}), {1, 2, 1});   // → (3, 8, 5)
///
/// expand() repeats dimensions of size 1 without a copy. Errors: fewer times than dimensions, one
/// that is negative.

#include <cstdint>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> repeat(const Tensor<T>& x, const Shape& times) {
  detail::require_defined("repeat", "x", x);
  TANDEM_CHECK(times.rank() >= x.rank(), "repeat", "shape ", x.shape(), " needs ", x.rank(),
               " numbers of times or more: ", times);
  Shape shape = x.shape();
  while (shape.rank() < times.rank()) shape.insert(0, 1);
  Tensor<T> y = x.reshape(shape);
  for (int d = shape.rank() - 1; d >= 0; --d) {
    TANDEM_CHECK(times[d] >= 0, "repeat", "nothing can be repeated ", times[d], " times");
    if (times[d] == 1) continue;
    const detail::DimSplit s = detail::split_at(shape, d);
    const std::int64_t behind = s.n * s.inner;
    TANDEM_CHECK(!__builtin_mul_overflow(shape[d], times[d], &shape[d]), "repeat", "dimension ", d,
                 " of shape ", x.shape(), " cannot be repeated ", times[d], " times");
    y = y.reshape({s.outer, 1, behind}).expand({s.outer, times[d], behind}).reshape(shape);
  }
  return y.storage() == x.storage() ? y.clone() : y;  // repeated once: still a view
}

TANDEM_NAMESPACE_END
