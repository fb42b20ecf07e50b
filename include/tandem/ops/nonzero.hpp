#pragma once
/// nonzero — y = the indices of the elements of x that are not 0, in row-major order.
///   x (…) of k dimensions → int64 (m, k), a row for each of the m elements.  On the CPU only: m is
///   known when all elements have been looked at.
///
///   nonzero(tensor<float>({{0.2, 0.7}, {0.9, 0.1}}) > 0.5);   // → [[0, 1], [1, 0]]
///
/// NaN is not 0. There is no derivative: under recording, an x that needs a gradient is refused
/// (detach() it).

#include <cstdint>

#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<std::int64_t> nonzero(const Tensor<T>& x) {
  detail::require_defined("nonzero", "x", x);
  detail::require_cpu("nonzero", x);
  if constexpr (FloatingElement<T>) autograd::refuse_grad("nonzero", x);
  const Tensor<T> dense = x.detach().contiguous();
  const T* const values = dense.data();
  const std::int64_t n = x.numel();
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < n; ++i) count += values[i] != T(0) ? 1 : 0;
  const Tensor<std::int64_t> out({count, x.rank()});
  std::int64_t* row = out.mutable_data();
  for (std::int64_t i = 0; i < n; ++i) {
    if (!(values[i] != T(0))) continue;
    std::int64_t rest = i;
    for (int d = x.rank() - 1; d >= 0; --d) {
      row[d] = rest % x.shape()[d];
      rest /= x.shape()[d];
    }
    row += x.rank();
  }
  return out;
}

TANDEM_NAMESPACE_END
