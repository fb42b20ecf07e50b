#pragma once
/// softplus — y = ln(1 + eˣ) = max(0, x) + ln(1 + e^−|x|), which overflows nowhere.
///   dx = dy·σ(x)
///   x (…) → same shape.  Saves x.
///
///   Tensor<float> scale = softplus(raw);     // positive

#include <tuple>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Softplus {
  static constexpr int cost = 16;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    const V zero(typename V::value_type(0));
    return max(zero, x) + cpu::log1p(cpu::exp(-cpu::abs(x)));
  }
};
struct SoftplusGradient {
  static constexpr int cost = 10;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V x) const {
    return dy * cpu::sigmoid(x);
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> softplus(const Tensor<T>& x) {
  detail::require_defined("softplus", "x", x);
  Tensor<T> out = detail::map("softplus", detail::Softplus(), x);
  return autograd::record(
      "softplus", out,
      [x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("softplus", detail::SoftplusGradient(), dy, x.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
