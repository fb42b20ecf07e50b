#pragma once
/// any, all — y = whether one of the bits is set, whether every one is, along a dimension or of
/// all.
///   x (…, n, …) of bool → without that dimension, or with size 1 there (keepdim); any(x) → ().
///   Composed of to, max and min.  Of no bits: any is false, all is true.
///
///   const Tensor<float> x = tensor<float>({{1, NAN}, {2, 3}});
///   any(isnan(x));    // → True
///   all(x > 0, -1);   // → [False, True]
///
/// Errors: a dimension out of range.

#include <cstdint>

#include "tandem/ops/parts/extremum.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// The largest (Sign = 1) or smallest bit along a dimension.
template <int Sign>
Tensor<bool> extreme_bit(const char* op, const Tensor<bool>& x, std::int64_t dim, bool keepdim) {
  const int d = normalize_dim(op, dim, x.rank());
  if (x.shape()[d] > 0) {
    return find_extremum<Sign>(op, x.to<std::uint8_t>(), d, keepdim).values.template to<bool>();
  }
  Shape shape = x.shape();
  shape[d] = 1;
  if (!keepdim) shape.erase(d);
  return full<bool>(shape, Sign < 0, x.device());
}

}  // namespace detail

inline Tensor<bool> any(const Tensor<bool>& x, Dim dim, bool keepdim = false) {
  detail::require_defined("any", "x", x);
  return detail::extreme_bit<1>("any", x, dim, keepdim);
}
inline Tensor<bool> any(const Tensor<bool>& x) {
  detail::require_defined("any", "x", x);
  return any(x.flatten(), 0);
}
inline Tensor<bool> all(const Tensor<bool>& x, Dim dim, bool keepdim = false) {
  detail::require_defined("all", "x", x);
  return detail::extreme_bit<-1>("all", x, dim, keepdim);
}
inline Tensor<bool> all(const Tensor<bool>& x) {
  detail::require_defined("all", "x", x);
  return all(x.flatten(), 0);
}

TANDEM_NAMESPACE_END
