#pragma once
/// quick_gelu — y = x·σ(1.702x), the activation of CLIP.    [Hendrycks & Gimpel 2016, section 2]
///   dx = dy·(s + 1.702x·s·(1 − s)),  s = σ(1.702x)
///   x (…) → same shape.  Saves x.
///
///   quick_gelu(tensor<float>({-1, 0, 1}));   // → [-0.1542, 0., 0.8458]

#include "tandem/formula/quick_gelu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> quick_gelu(const Tensor<T>& x) {
  return detail::saving_input<formula::QuickGeluGradient>("quick_gelu", formula::QuickGelu(), x);
}
TANDEM_FLOATS_ONLY(quick_gelu)

TANDEM_NAMESPACE_END
