#pragma once
/// square — y = x².
///   dx = 2·x·dy
///   x (…) → same shape.  Saves x.  Integers wrap around.
///
///   Tensor<float> energy = sum(square(x), -1);

#include <tuple>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Square {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return Mul()(x, x);
  }
};
struct SquareGradient {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V x) const {
    return dy * (x + x);
  }
};

}  // namespace detail

template <ArithmeticElement T>
Tensor<T> square(const Tensor<T>& x) {
  detail::require_defined("square", "x", x);
  Tensor<T> out = detail::map("square", detail::Square(), x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "square", out,
        [x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(detail::map("square", detail::SquareGradient(), dy, x.get()));
        },
        x);
  }
  return out;
}

TANDEM_NAMESPACE_END
