#pragma once
/// remainder — y = a − b·⌊a/b⌋, of b's sign, as % in Python, with NumPy's broadcasting.
///   da = dy,  db = −dy·⌊a/b⌋; each summed over the dimensions in which its operand was broadcast.
///   a, b of shapes that broadcast → the common shape; b may be a number.  Saves both.
///
///   remainder(tensor<float>({-0.5, 2.5}), 2);   // → [1.5, 0.5]
///
/// C's fmod, which is exact, and + b where the signs differ: a tiny a of the other sign may round
/// up to b. A divisor of 0 gives NaN, among integers it throws. bfloat16 is computed in float.
/// Errors: shapes do not broadcast; a number that the element type does not hold; an integer
/// divided by zero.

#include <tuple>
#include <type_traits>

#include "tandem/formula/remainder.hpp"
#include "tandem/ops/arithmetic.hpp"

TANDEM_NAMESPACE_BEGIN

template <ArithmeticElement T>
Tensor<T> remainder(const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined("remainder", "a", a, "b", b);
  detail::check_divisors("remainder", a.shape(), b);
  Tensor<T> out = detail::map("remainder", formula::Remainder(), a, b);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "remainder", out,
        [a = autograd::save(b.requires_grad() ? a : Tensor<T>()),
         b = autograd::save(b.requires_grad() ? b : Tensor<T>()), sa = a.shape(),
         sb = b.shape()](const Tensor<T>& dy, autograd::Needs need) {
          return std::tuple(need[0] ? autograd::sum_to_shape(dy, sa) : Tensor<T>(),
                            need[1]
                                ? autograd::sum_to_shape(
                                      detail::map("remainder", formula::RemainderDivisorGradient(),
                                                  dy, a.get(), b.get()),
                                      sb)
                                : Tensor<T>());
        },
        a, b);
  }
  return out;
}
template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> remainder(const Tensor<T>& a, S b) {
  detail::require_defined("remainder", "a", a);
  const formula::ScalarRight<formula::Remainder, detail::compute_t<T>> f{
      detail::scalar_of<T>("remainder", b)};
  if constexpr (std::is_integral_v<T>) {
    TANDEM_CHECK(f.s != 0 || a.numel() == 0, "remainder", "an integer was divided by zero");
  }
  Tensor<T> out = detail::map("remainder", f, a);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "remainder", out, [](const Tensor<T>& dy, autograd::Needs) { return std::tuple(dy); }, a);
  }
  return out;
}
TANDEM_ONE_TYPE_ONLY(remainder)

TANDEM_NAMESPACE_END
