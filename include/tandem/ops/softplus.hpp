#pragma once
/// softplus — y = ln(1 + eˣ) = max(0, x) + ln(1 + e^−|x|), which overflows nowhere.
///   dx = dy·σ(x)
///   x (…) → same shape.  Saves x.
///
///   softplus(tensor<float>({-1, 0, 100}));   // → [0.3133, 0.6931, 100.]

#include "tandem/formula/softplus.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> softplus(const Tensor<T>& x) {
  return detail::saving_input<formula::SoftplusGradient>("softplus", formula::Softplus(), x);
}
TANDEM_FLOATS_ONLY(softplus)

TANDEM_NAMESPACE_END
