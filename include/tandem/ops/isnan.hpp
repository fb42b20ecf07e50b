#pragma once
/// isnan, isinf, isfinite — x is NaN, x = ±∞, x is neither, element by element → Tensor<bool>.
///   x (…) → bool of the same shape.
///
///   const auto x = tensor<float>({1, NAN, -INFINITY});
///   isnan(x);      // → [False, True, False]
///   isinf(x);      // → [False, False, True]
///   isfinite(x);   // → [True, False, False]
///
/// There is no derivative: under recording, an x that needs a gradient is refused (detach() it).

#include "tandem/ops/compare.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<bool> isnan(const Tensor<T>& x) {
  detail::require_defined("isnan", "x", x);
  return detail::compare("isnan", formula::IsNan(), x, x);
}
template <FloatingElement T>
Tensor<bool> isinf(const Tensor<T>& x) {
  detail::require_defined("isinf", "x", x);
  return detail::compare("isinf", formula::IsInfinite(), x, x);
}
template <FloatingElement T>
Tensor<bool> isfinite(const Tensor<T>& x) {
  detail::require_defined("isfinite", "x", x);
  return detail::compare("isfinite", formula::IsFinite(), x, x);
}

TANDEM_NAMESPACE_END
