#pragma once
/// roll — yᵢ = xⱼ, j = (i − shift) mod n, along a dimension: what leaves at one end enters at the
/// other.
///   dx = dy, rolled back.   Composed of slices and cat.
///   x (…, n, …) → same shape, a copy.  Saves nothing but sizes.
///
///   roll(tensor<float>({0, 1, 2, 3}), 1, -1);   // → [3., 0., 1., 2.]
///   roll(tensor<float>({{0, 1}, {2, 3}, {4, 5}}), {2, 1}, {0, 1});
///   // → [[3., 2.], [5., 4.], [1., 0.]]
///
/// Errors: a dimension out of range, not one shift for each dimension.

#include <cstdint>

#include "tandem/ops/cat.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> roll(const Tensor<T>& x, std::int64_t shift, Dim dim) {
  detail::require_defined("roll", "x", x);
  const int d = normalize_dim("roll", dim, x.rank());
  const std::int64_t n = x.shape()[d], first = n > 0 ? (n - shift % n) % n : 0;
  return cat<T>({x.slice(d, first), x.slice(d, 0, first)}, d);
}
template <Element T>
Tensor<T> roll(const Tensor<T>& x, const Shape& shifts, const Shape& dims) {
  detail::require_defined("roll", "x", x);
  TANDEM_CHECK(shifts.rank() == dims.rank() && dims.rank() > 0, "roll", "shifts ", shifts,
               " were given for dimensions ", dims);
  Tensor<T> y = x;
  for (int k = 0; k < dims.rank(); ++k) y = roll(y, shifts[k], dims[k]);
  return y;
}

TANDEM_NAMESPACE_END
