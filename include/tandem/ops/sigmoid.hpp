#pragma once
/// sigmoid — y = 1/(1 + e⁻ˣ), written as eˣ/(1 + eˣ) for x < 0 so that small values keep their
/// digits.
///   dx = dy·y·(1 − y)
///   x (…) → same shape.  Saves y.
///
///   Tensor<float> p = sigmoid(logits);
///
/// For the loss of a sigmoid use bce_with_logits, which stays exact where y rounds to 1.

#include <tuple>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Sigmoid {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return cpu::sigmoid(x);
  }
};
struct SigmoidGradient {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V y) const {
    return dy * y * (V(typename V::value_type(1)) - y);
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> sigmoid(const Tensor<T>& x) {
  detail::require_defined("sigmoid", "x", x);
  Tensor<T> out = detail::map("sigmoid", detail::Sigmoid(), x);
  return autograd::record(
      "sigmoid", out,
      [y = autograd::save(out)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("sigmoid", detail::SigmoidGradient(), dy, y.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
