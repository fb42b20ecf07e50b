#pragma once
/// sigmoid — y = 1/(1 + e⁻ˣ), written as eˣ/(1 + eˣ) for x < 0 so that small values keep their
/// digits.
///   dx = dy·y·(1 − y)
///   x (…) → same shape.  Saves y.
///
///   sigmoid(tensor<float>({-INFINITY, 0, 1}));   // → [0., 0.5, 0.7311]
///
/// For the loss of a sigmoid use bce_with_logits, which stays exact where y rounds to 1.

#include "tandem/formula/sigmoid.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> sigmoid(const Tensor<T>& x) {
  return detail::saving_output<formula::SigmoidGradient>("sigmoid", formula::Sigmoid(), x);
}
TANDEM_FLOATS_ONLY(sigmoid)

TANDEM_NAMESPACE_END
