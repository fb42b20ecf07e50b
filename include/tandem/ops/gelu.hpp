#pragma once
/// gelu — y = x·Φ(x) = x·(1 + erf(x/√2))/2, exact.          [Hendrycks & Gimpel 2016, section 2]
///   dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π)
///   x (…) → same shape.  Saves x.
///
///   gelu(tensor<float>({-1, 0, 1}));                   // → [-0.1587, 0., 0.8413]
///   gelu(tensor<float>({-1, 0, 1}), GeluForm::tanh);   // → [-0.1588, 0., 0.8412]   as GPT-2
///
/// GeluForm::tanh has σ(2u) = (1 + tanh u)/2, u = √(2/π)·(x + 0.044715·x³), in the place of Φ(x):
/// at most 0.0005 away, for models that were trained with it (PyTorch's approximate="tanh").

#include "tandem/formula/gelu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

/// Which Φ gelu multiplies by: the normal distribution, or its form with tanh.
enum class GeluForm { exact, tanh };

template <FloatingElement T>
Tensor<T> gelu(const Tensor<T>& x) {
  return detail::saving_input<formula::GeluGradient>("gelu", formula::Gelu(), x);
}
template <FloatingElement T>
Tensor<T> gelu(const Tensor<T>& x, GeluForm form) {
  if (form == GeluForm::exact) return gelu(x);
  return detail::saving_input<formula::GeluTanhGradient>("gelu", formula::GeluTanh(), x);
}
TANDEM_FLOATS_ONLY(gelu)

TANDEM_NAMESPACE_END
