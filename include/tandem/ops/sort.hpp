#pragma once
/// sort, argsort — y = x in rising (or falling) order along a dimension with the places where the
/// values were, those places only.
///   dx is dy at the places from which the values came.   Composed of topk.
///   x (…, n, …) → {values, indices int64} of the same shape.  Saves the indices.
///
///   const auto x = tensor<float>({3, 1, 2});
///   auto [values, indices] = sort(x, -1, true);   // → [3., 2., 1.], [0, 2, 1]
///   argsort(x);                                   // → [1, 2, 0]
///
/// Always stable: of equal elements the lower index comes first, in falling order too. NaN counts
/// as larger than every number. argsort has no derivative: under recording, an x that needs a
/// gradient is refused (detach() it). Errors: a dimension out of range.

#include <cstdint>

#include "tandem/ops/topk.hpp"

TANDEM_NAMESPACE_BEGIN

/// What sort returns: the values in order, and where along the dimension they were.
template <Element T>
struct Sorted {
  Tensor<T> values;
  Tensor<std::int64_t> indices;
};

namespace detail {

template <Element T>
Sorted<T> in_order(const char* op, const Tensor<T>& x, std::int64_t dim, bool descending) {
  require_defined(op, "x", x);
  require_kernels(op, x, topk_forward<T>);
  const int d = normalize_dim(op, dim, x.rank());
  const TopK<T> all = topk(x, x.shape()[d], d, descending);
  return {all.values, all.indices};
}

}  // namespace detail

template <Element T>
Sorted<T> sort(const Tensor<T>& x, Dim dim = -1, bool descending = false) {
  return detail::in_order("sort", x, dim, descending);
}
template <Element T>
Tensor<std::int64_t> argsort(const Tensor<T>& x, Dim dim = -1, bool descending = false) {
  detail::require_defined("argsort", "x", x);
  if constexpr (FloatingElement<T>) autograd::refuse_grad("argsort", x);
  return detail::in_order("argsort", x, dim, descending).indices;
}

TANDEM_NAMESPACE_END
