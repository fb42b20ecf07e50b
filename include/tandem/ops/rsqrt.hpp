#pragma once
/// rsqrt — y = 1/√x.
///   dx = −½·dy·y³
///   x (…) → same shape.  Saves y.  ∞ at 0, NaN below.
///
///   rsqrt(tensor<float>({4, 0.25}));   // → [0.5, 2.]

#include "tandem/formula/rsqrt.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> rsqrt(const Tensor<T>& x) {
  return detail::saving_output<formula::RsqrtGradient>("rsqrt", formula::Rsqrt(), x);
}
TANDEM_FLOATS_ONLY(rsqrt)

TANDEM_NAMESPACE_END
