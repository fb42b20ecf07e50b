#pragma once
/// log — y = ln x;  −∞ at 0 and NaN below.
///   dx = dy / x
///   x (…) → same shape.  Saves x.
///
///   Tensor<float> entropy = -sum(p * log(clamp_min(p, 1e-12)), -1);

#include <tuple>

#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Log {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return cpu::log(x);
  }
};
struct LogGradient {
  static constexpr int cost = 2;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V x) const {
    return dy / x;
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> log(const Tensor<T>& x) {
  detail::require_defined("log", "x", x);
  Tensor<T> out = detail::map("log", detail::Log(), x);
  return autograd::record(
      "log", out,
      [x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("log", detail::LogGradient(), dy, x.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
