#pragma once
/// log — y = ln x;  −∞ at 0 and NaN below.
///   dx = dy / x
///   x (…) → same shape.  Saves x.
///
///   Tensor<float> entropy = -sum(p * log(clamp_min(p, 1e-12)), -1);

#include "tandem/formula/log.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> log(const Tensor<T>& x) {
  return detail::saving_input<formula::LogGradient>("log", formula::Log(), x);
}

TANDEM_NAMESPACE_END
