#pragma once
/// pow — y = xᵖ for a number p.
///   dx = dy·p·xᵖ⁻¹, and 0 for p = 0
///   x (…) → same shape.  Saves x.
///
///   pow(tensor<float>({1, 2, 3}), 2);   // → [1., 4., 9.]
///   pow(tensor<float>({4, 9}), -0.5);   // → [0.5, 0.3333]
///
/// Whole p from −4 to 4 multiply; others call the C library's pow, so a negative x gives NaN.

#include <tuple>

#include "tandem/formula/arithmetic.hpp"
#include "tandem/formula/pow.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class T>
Tensor<T> power(const Tensor<T>& x, double p, double factor) {
  const bool whole = p >= -4 && p <= 4 && p == static_cast<double>(static_cast<int>(p));
  return whole ? map("pow", formula::WholePower{static_cast<int>(p), factor}, x)
               : map("pow", formula::Power{p, factor}, x);
}

}  // namespace detail

template <FloatingElement T>
Tensor<T> pow(const Tensor<T>& x, double p) {
  detail::require_defined("pow", "x", x);
  return autograd::record(
      "pow", detail::power(x, p, 1),
      [x = autograd::save(x), p](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> slope = p == 0 ? zeros_like(dy) : detail::power(x.get(), p - 1, p);
        return std::tuple(detail::map("pow", formula::Mul(), dy, slope));
      },
      x);
}
TANDEM_FLOATS_ONLY(pow)

TANDEM_NAMESPACE_END
