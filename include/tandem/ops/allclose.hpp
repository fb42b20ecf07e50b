#pragma once
/// allclose — y = whether |a − b| ≤ atol + rtol·|b| for every element: a bool, not a tensor.
///   a, b of shapes that broadcast.   Composed of comparisons, abs and all.
///
///   allclose(tensor<float>({1, 2}), tensor<float>({1, 2.0001}), {.rtol = 1e-3});   // → true
///
/// Equal infinities are close, an infinity and a number are not. NaN is close to nothing, or with
/// equal_nan to NaN. Gradients play no part. Integers are compared as doubles. On a GPU it waits
/// for the result. Errors: shapes do not broadcast; a tolerance that is negative or NaN.

#include <limits>

#include "tandem/ops/abs.hpp"
#include "tandem/ops/any.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/isnan.hpp"

TANDEM_NAMESPACE_BEGIN

/// The tolerances of allclose, those of NumPy and PyTorch.
struct Tolerance {
  double rtol = 1e-5;      ///< relative to |b|
  double atol = 1e-8;      ///< absolute
  bool equal_nan = false;  ///< NaN is close to NaN
};

template <Element T>
bool allclose(const Tensor<T>& a, const Tensor<T>& b, const Tolerance& tolerance = {}) {
  const char* const op = "allclose";
  detail::require_defined(op, "a", a, "b", b);
  detail::require_same_device(op, a, b);
  TANDEM_CHECK(tolerance.rtol >= 0 && tolerance.atol >= 0, op,
               "tolerances must not be negative: rtol is ", tolerance.rtol, ", atol ",
               tolerance.atol);
  (void)broadcast_shapes(op, a.shape(), b.shape());
  if constexpr (!std::is_same_v<T, float> && !std::is_same_v<T, double>) {
    return allclose(a.detach().template to<double>(), b.detach().template to<double>(), tolerance);
  } else {
    const Tensor<T> x = a.detach(), y = b.detach();
    const Tensor<T> apart = abs(sub(x, y));
    // A tolerance beyond T allows every finite difference, as T's largest number does.
    constexpr auto largest = static_cast<double>(std::numeric_limits<T>::max());
    const double rtol = tolerance.rtol < largest ? tolerance.rtol : largest,
                 atol = tolerance.atol < largest ? tolerance.atol : largest;
    const Tensor<T> most = add(mul(abs(y), rtol), atol);
    Tensor<bool> close = logical_or(eq(x, y), logical_and(isfinite(apart), le(apart, most)));
    if (tolerance.equal_nan) close = logical_or(close, logical_and(isnan(x), isnan(y)));
    return all(close).item();
  }
}
TANDEM_ONE_TYPE_ONLY(allclose)

TANDEM_NAMESPACE_END
