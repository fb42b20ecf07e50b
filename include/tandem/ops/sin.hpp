#pragma once
/// sin, cos — y = sin x, cos x.
///   sin: dx = dy·cos x          cos: dx = −dy·sin x
///   x (…) in radians → same shape.  Saves x.
///
///   const auto angles = tensor<float>({0, M_PI / 6});
///   sin(angles);   // → [0., 0.5]
///   cos(angles);   // → [1., 0.866]
///
/// Within one unit in the last place for every x (cpu/vmath.hpp), large ones included: up to 2²³
/// (float) and 2²⁰ (double) multiples of π/2 are taken off in more digits than T has; beyond, the C
/// library is asked. ±∞ gives NaN.

#include "tandem/formula/sin.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> sin(const Tensor<T>& x) {
  return detail::saving_input<formula::SinGradient>("sin", formula::Sin(), x);
}
template <FloatingElement T>
Tensor<T> cos(const Tensor<T>& x) {
  return detail::saving_input<formula::CosGradient>("cos", formula::Cos(), x);
}
TANDEM_FLOATS_ONLY(sin)
TANDEM_FLOATS_ONLY(cos)

TANDEM_NAMESPACE_END
