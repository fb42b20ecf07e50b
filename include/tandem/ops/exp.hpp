#pragma once
/// exp — y = eˣ.
///   dx = dy·y
///   x (…) → same shape.  Saves y.  Within 1 unit in the last place: cpu/vmath.hpp.
///
///   exp(tensor<float>({0, 1, -INFINITY}));   // → [1., 2.7183, 0.]

#include "tandem/formula/exp.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> exp(const Tensor<T>& x) {
  return detail::saving_output<formula::ExpGradient>("exp", formula::Exp(), x);
}
TANDEM_FLOATS_ONLY(exp)

TANDEM_NAMESPACE_END
