#pragma once
/// argmax, argmin — where the largest or smallest element along a dimension is.
///   x (…, n, …) → int64, without that dimension or with size 1 there (keepdim).
///
///   const Tensor<float> logits = tensor<float>({{1, 5, 2}, {7, 0, 7}});
///   argmax(logits, -1);   // → [1, 0]
///   argmin(logits, 0);    // → [0, 1, 0]
///
/// The first of equal elements; the first NaN wins over everything. There is no derivative: under
/// recording, an x that needs a gradient is refused (detach() it). Errors: as max.

#include <cstdint>

#include "tandem/ops/parts/extremum.hpp"

TANDEM_NAMESPACE_BEGIN

template <ArithmeticElement T>
Tensor<std::int64_t> argmax(const Tensor<T>& x, Dim dim, bool keepdim = false) {
  autograd::refuse_grad("argmax", x);
  return detail::find_extremum<1>("argmax", x, dim, keepdim).indices;
}
template <ArithmeticElement T>
Tensor<std::int64_t> argmin(const Tensor<T>& x, Dim dim, bool keepdim = false) {
  autograd::refuse_grad("argmin", x);
  return detail::find_extremum<-1>("argmin", x, dim, keepdim).indices;
}

TANDEM_NAMESPACE_END
