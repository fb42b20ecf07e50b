#pragma once
/// abs — y = |x|.
///   dx = dy·sign(x), 0 at 0 and, as in PyTorch, at NaN
///   x (…) → same shape.  Saves x.  Integers too: |most negative| wraps to itself.
///
///   Tensor<float> l1 = sum(abs(x - target));

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
