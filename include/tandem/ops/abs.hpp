#pragma once
/// abs — y = |x|.
///   dx = dy·sign(x), 0 at 0
///   x (…) → same shape.  Saves x.  Integers too: |most negative| wraps to itself.
///
///   Tensor<float> l1 = sum(abs(x - target));

#include <tuple>
#include <type_traits>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Abs {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    if constexpr (std::is_integral_v<V>) {
      return x < V(0) ? Neg()(x) : x;
    } else {
      return cpu::abs(x);
    }
  }
};
struct AbsGradient {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V x) const {
    using C = typename V::value_type;
    return select(x == V(C(0)), V(C(0)), select(x < V(C(0)), -dy, dy));
  }
};

}  // namespace detail

template <ArithmeticElement T>
Tensor<T> abs(const Tensor<T>& x) {
  detail::require_defined("abs", "x", x);
  Tensor<T> out = detail::map("abs", detail::Abs(), x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "abs", out,
        [x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(detail::map("abs", detail::AbsGradient(), dy, x.get()));
        },
        x);
  }
  return out;
}

TANDEM_NAMESPACE_END
