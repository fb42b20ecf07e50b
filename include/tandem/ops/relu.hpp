#pragma once
/// relu — y = max(0, x); NaN stays NaN.
///   dx = dy where y > 0, 0 elsewhere (0 at 0)
///   x (…) → same shape.  Saves y.
///
///   Tensor<float> h = relu(linear(x, w, b));

#include <tuple>

#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Relu {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    return max(V(typename V::value_type(0)), x);
  }
};
struct ReluGradient {
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V dy, V y) const {
    const V zero(typename V::value_type(0));
    return select(y > zero, dy, zero);
  }
};

}  // namespace detail

template <FloatingElement T>
Tensor<T> relu(const Tensor<T>& x) {
  detail::require_defined("relu", "x", x);
  Tensor<T> out = detail::map("relu", detail::Relu(), x);
  return autograd::record(
      "relu", out,
      [y = autograd::save(out)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(detail::map("relu", detail::ReluGradient(), dy, y.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
