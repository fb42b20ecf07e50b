#pragma once
/// masked_fill — y = value where the mask holds, x elsewhere.
///   dx = 0 where the mask holds, dy elsewhere.   Composed of where.
///   x (…), mask that broadcasts to x's shape, a number → shape of x.  Saves the mask.
///
///   const auto x = tensor<float>({1, 2, 3});
///   masked_fill(x, x > 2, -1);   // → [1., 2., -1.]
///
/// Errors: the mask does not broadcast to x's shape; a number that the element type does not hold.

#include "tandem/ops/where.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> masked_fill(const Tensor<T>& x,
                                                        const Tensor<bool>& mask, S value) {
  const char* const op = "masked_fill";
  detail::require_defined(op, "x", x, "mask", mask);
  TANDEM_CHECK(broadcast_shapes(op, x.shape(), mask.shape()) == x.shape(), op, "a mask of shape ",
               mask.shape(), " does not broadcast to shape ", x.shape());
  detail::require_same_device(op, x, mask);
  return where(mask, full<T>({}, detail::scalar_element<T>(op, value), x.device()), x);
}

TANDEM_NAMESPACE_END
