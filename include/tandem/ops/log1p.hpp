#pragma once
/// log1p — y = ln(1 + x), accurate near 0.
///   dx = dy/(1 + x)
///   x (…) → same shape.  Saves x.  −∞ at −1, NaN below.
///
///   log1p(tensor<float>({-1, 0, 1}));   // → [-inf, 0., 0.6931]

#include "tandem/formula/log1p.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> log1p(const Tensor<T>& x) {
  return detail::saving_input<formula::Log1pGradient>("log1p", formula::Log1p(), x);
}
TANDEM_FLOATS_ONLY(log1p)

TANDEM_NAMESPACE_END
