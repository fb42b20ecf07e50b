#pragma once
/// tanh — y = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).
///   dx = dy·(1 − y²)
///   x (…) → same shape.  Saves y.
///
///   Tensor<float> gate = tanh(linear(x, w, b));

#include <tuple>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Tanh {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return cpu::tanh(x);
  }
};
struct TanhGradient {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V y) const {
    return dy * (V(typename V::value_type(1)) - y * y);
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> tanh(const Tensor<T>& x) {
  detail::require_defined("tanh", "x", x);
  Tensor<T> out = detail::map("tanh", detail::Tanh(), x);
  return autograd::record(
      "tanh", out,
      [y = autograd::save(out)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("tanh", detail::TanhGradient(), dy, y.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
