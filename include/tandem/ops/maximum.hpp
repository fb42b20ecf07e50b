#pragma once
/// maximum, minimum — y = the larger of a and b, the smaller of a and b, with NumPy's broadcasting.
///   maximum: da = dy where a > b, dy/2 where a = b, else 0; db likewise
///   minimum: da = dy where a < b, dy/2 where a = b, else 0; db likewise
///   each summed over the dimensions in which its operand was broadcast.
///   a, b of shapes that broadcast → the common shape.  Saves both.
///
///   const auto a = tensor<float>({1, 5, NAN}), b = tensor<float>({2, 3, 0});
///   maximum(a, b);   // → [2., 5., nan]
///   minimum(a, b);   // → [1., 3., nan]
///
/// Equal elements share the gradient, half each, as in PyTorch. NaN wins over every number, and
/// both operands then have the whole gradient. With a number in place of b: clamp_min and
/// clamp_max. Errors: shapes do not broadcast.

#include <tuple>

#include "tandem/formula/maximum.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class F, class Gradient, class T>
Tensor<T> larger_or_smaller(const char* op, const F& f, const Gradient& gradient,
                            const Tensor<T>& a, const Tensor<T>& b) {
  require_defined(op, "a", a, "b", b);
  Tensor<T> out = map(op, f, a, b);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, out,
        [op, gradient, a = autograd::save(a), b = autograd::save(b)](const Tensor<T>& dy,
                                                                     autograd::Needs need) {
          const auto share = [&](const Tensor<T>& own, const Tensor<T>& other) {
            return autograd::sum_to_shape(map(op, gradient, dy, own, other), own.shape());
          };
          return std::tuple(need[0] ? share(a.get(), b.get()) : Tensor<T>(),
                            need[1] ? share(b.get(), a.get()) : Tensor<T>());
        },
        a, b);
  }
  return out;
}

}  // namespace detail

template <ArithmeticElement T>
Tensor<T> maximum(const Tensor<T>& a, const Tensor<T>& b) {
  return detail::larger_or_smaller("maximum", formula::Maximum(), formula::MaximumGradient(), a, b);
}
template <ArithmeticElement T>
Tensor<T> minimum(const Tensor<T>& a, const Tensor<T>& b) {
  return detail::larger_or_smaller("minimum", formula::Minimum(), formula::MinimumGradient(), a, b);
}
TANDEM_ONE_TYPE_ONLY(maximum)
TANDEM_ONE_TYPE_ONLY(minimum)

TANDEM_NAMESPACE_END
