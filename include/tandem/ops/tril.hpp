#pragma once
/// tril, triu — y = x on and below a diagonal and 0 above it, x on and above it and 0 below it.
///   dx = dy in the same triangle, 0 elsewhere.   Composed of where.
///   x (…, rows, columns) → same shape.  Saves the mask of the triangle.
///
///   const auto x = ones<float>({3, 3});
///   tril(x);      // → [[1., 0., 0.], [1., 1., 0.], [1., 1., 1.]]
///   triu(x, 1);   // → [[0., 1., 1.], [0., 0., 1.], [0., 0., 0.]]
///
/// Element (i, j) is on diagonal j − i: 0 is the main one, 1 the one above it. What is left out has
/// no influence, even where it is NaN. Errors: fewer than two dimensions.

#include <cstdint>

#include "tandem/ops/compare.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/ops/where.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// x where keeps(j, i + diagonal), 0 elsewhere.
template <Element T, class F>
Tensor<T> triangle(const char* op, const Tensor<T>& x, std::int64_t diagonal, const F& keeps) {
  require_defined(op, "x", x);
  TANDEM_CHECK(x.rank() >= 2, op, "needs rows and columns, the shape is ", x.shape());
  const std::int64_t rows = x.size(-2), columns = x.size(-1);
  // Beyond these all diagonals are alike.
  const std::int64_t shift = diagonal < -rows ? -rows : diagonal > columns ? columns : diagonal;
  const Tensor<std::int64_t> i({rows, 1}), j({columns});
  for (std::int64_t r = 0; r < rows; ++r) i.mutable_data()[r] = r + shift;
  for (std::int64_t c = 0; c < columns; ++c) j.mutable_data()[c] = c;
  return where(keeps(j.to(x.device()), i.to(x.device())), x, zeros<T>({}, x.device()));
}

}  // namespace detail

template <Element T>
Tensor<T> tril(const Tensor<T>& x, std::int64_t diagonal = 0) {
  return detail::triangle("tril", x, diagonal,
                          [](const auto& j, const auto& i) { return le(j, i); });
}
template <Element T>
Tensor<T> triu(const Tensor<T>& x, std::int64_t diagonal = 0) {
  return detail::triangle("triu", x, diagonal,
                          [](const auto& j, const auto& i) { return ge(j, i); });
}

TANDEM_NAMESPACE_END
