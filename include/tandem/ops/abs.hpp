#pragma once
/// abs — y = |x|.
///   dx = dy·sign(x), 0 at 0 and, as in PyTorch, at NaN
///   x (…) → same shape.  Saves x.  Integers too: |most negative| wraps to itself.
///
///   abs(tensor<float>({-2, 0, 3}));                           // → [2., 0., 3.]
///   Tensor<float> l1 = sum(abs(tensor<float>({1, 5}) - 3));   // → 4.

#include "tandem/formula/abs.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <ArithmeticElement T>
Tensor<T> abs(const Tensor<T>& x) {
  if constexpr (FloatingElement<T>) {
    return detail::saving_input<formula::AbsGradient>("abs", formula::Abs(), x);
  } else {
    detail::require_defined("abs", "x", x);
    return detail::map("abs", formula::Abs(), x);
  }
}

TANDEM_NAMESPACE_END
