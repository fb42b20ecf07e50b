#pragma once
/// exp — y = eˣ.
///   dx = dy·y
///   x (…) → same shape.  Saves y.  Within 1 unit in the last place: cpu/vmath.hpp.
///
///   Tensor<float> weights = exp(scores - max(scores, -1, true).values);

#include <tuple>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Exp {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return cpu::exp(x);
  }
};
struct ExpGradient {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V y) const {
    return dy * y;
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> exp(const Tensor<T>& x) {
  detail::require_defined("exp", "x", x);
  Tensor<T> out = detail::map("exp", detail::Exp(), x);
  return autograd::record(
      "exp", out,
      [y = autograd::save(out)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("exp", detail::ExpGradient(), dy, y.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
