#pragma once
/// sqrt — y = √x, correctly rounded; NaN below 0.
///   dx = dy / (2y), which is infinite at 0
///   x (…) → same shape.  Saves y.
///
///   Tensor<float> deviation = sqrt(variance + 1e-5);

#include <tuple>

#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Sqrt {
  static constexpr int cost = 2;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return cpu::sqrt(x);
  }
};
struct SqrtGradient {
  static constexpr int cost = 2;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V y) const {
    return dy / (y + y);
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> sqrt(const Tensor<T>& x) {
  detail::require_defined("sqrt", "x", x);
  Tensor<T> out = detail::map("sqrt", detail::Sqrt(), x);
  return autograd::record(
      "sqrt", out,
      [y = autograd::save(out)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("sqrt", detail::SqrtGradient(), dy, y.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
