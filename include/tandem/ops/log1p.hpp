#pragma once
/// log1p — y = ln(1 + x), accurate near 0.
///   dx = dy/(1 + x)
///   x (…) → same shape.  Saves x.  −∞ at −1, NaN below.
///
///   Tensor<float> compressed = log1p(counts);

#include "tandem/formula/log1p.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> log1p(const Tensor<T>& x) {
  return detail::saving_input<formula::Log1pGradient>("log1p", formula::Log1p(), x);
}

TANDEM_NAMESPACE_END
