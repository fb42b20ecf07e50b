#pragma once
/// relu — y = max(0, x); NaN stays NaN.
///   dx = dy where y > 0, 0 elsewhere (0 at 0)
///   x (…) → same shape.  Saves y.
///
///   relu(tensor<float>({-2, 0, 3}));   // → [0., 0., 3.]

#include "tandem/formula/relu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> relu(const Tensor<T>& x) {
  return detail::saving_output<formula::ReluGradient>("relu", formula::Relu(), x);
}
TANDEM_FLOATS_ONLY(relu)

TANDEM_NAMESPACE_END
