#pragma once
/// sqrt — y = √x, correctly rounded; NaN below 0.
///   dx = dy / (2y), which is infinite at 0
///   x (…) → same shape.  Saves y.
///
///   Tensor<float> deviation = sqrt(variance + 1e-5);

#include "tandem/formula/sqrt.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> sqrt(const Tensor<T>& x) {
  return detail::saving_output<formula::SqrtGradient>("sqrt", formula::Sqrt(), x);
}

TANDEM_NAMESPACE_END
