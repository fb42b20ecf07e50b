#pragma once
/// tanh — y = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).
///   dx = dy·(1 − y²)
///   x (…) → same shape.  Saves y.
///
///   tanh(tensor<float>({-INFINITY, 0, 1}));   // → [-1., 0., 0.7616]

#include "tandem/formula/tanh.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> tanh(const Tensor<T>& x) {
  return detail::saving_output<formula::TanhGradient>("tanh", formula::Tanh(), x);
}
TANDEM_FLOATS_ONLY(tanh)

TANDEM_NAMESPACE_END
