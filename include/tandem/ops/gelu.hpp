#pragma once
/// gelu — y = x·Φ(x) = x·(1 + erf(x/√2))/2, exact.          [Hendrycks & Gimpel 2016, section 2]
///   dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π)
///   x (…) → same shape.  Saves x.
///
///   Tensor<float> h = gelu(linear(x, w, b));

#include "tandem/formula/gelu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> gelu(const Tensor<T>& x) {
  return detail::saving_input<formula::GeluGradient>("gelu", formula::Gelu(), x);
}

TANDEM_NAMESPACE_END
