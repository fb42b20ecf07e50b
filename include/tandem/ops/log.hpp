#pragma once
/// log — y = ln x;  −∞ at 0 and NaN below.
///   dx = dy / x
///   x (…) → same shape.  Saves x.
///
///   log(tensor<float>({1, M_E, 0, -1}));   // → [0., 1., -inf, nan]

#include "tandem/formula/log.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> log(const Tensor<T>& x) {
  return detail::saving_input<formula::LogGradient>("log", formula::Log(), x);
}
TANDEM_FLOATS_ONLY(log)

TANDEM_NAMESPACE_END
