#pragma once
/// sqrt — y = √x, correctly rounded; NaN below 0.
///   dx = dy / (2y), which is infinite at 0
///   x (…) → same shape.  Saves y.
///
///   sqrt(tensor<float>({4, 2, -1}));   // → [2., 1.4142, nan]

#include "tandem/formula/sqrt.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> sqrt(const Tensor<T>& x) {
  return detail::saving_output<formula::SqrtGradient>("sqrt", formula::Sqrt(), x);
}
TANDEM_FLOATS_ONLY(sqrt)

TANDEM_NAMESPACE_END
