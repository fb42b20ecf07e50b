#pragma once
/// square — y = x².
///   dx = 2·x·dy
///   x (…) → same shape.  Saves x.  Integers wrap around.
///
///   square(tensor<float>({-3, 0.5}));   // → [9., 0.25]

#include "tandem/formula/square.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <ArithmeticElement T>
Tensor<T> square(const Tensor<T>& x) {
  if constexpr (FloatingElement<T>) {
    return detail::saving_input<formula::SquareGradient>("square", formula::Square(), x);
  } else {
    detail::require_defined("square", "x", x);
    return detail::map("square", formula::Square(), x);
  }
}

TANDEM_NAMESPACE_END
