#pragma once
/// pow — y = xᵖ for a number p.
///   dx = dy·p·xᵖ⁻¹, and 0 for p = 0
///   x (…) → same shape.  Saves x.
///
///   Tensor<float> focal = pow(1.0 - p, 2.5) * loss;
///
/// Whole p from −4 to 4 multiply; others call the C library's pow, so a negative x gives NaN.

#include <tuple>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// factor·xᵖ for a whole p.
struct WholePower {
  int p;
  double factor;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    using C = typename V::value_type;
    const V one(C(1));
    V y = one;
    for (int i = 0; i < (p < 0 ? -p : p); ++i) y = y * x;
    return V(static_cast<C>(factor)) * (p < 0 ? one / y : y);
  }
};
/// factor·xᵖ, lane by lane.
struct Power {
  static constexpr int cost = 64;
  double p, factor;
  template <class V>
  TANDEM_ALWAYS_INLINE V operator()(V x) const {
    using C = typename V::value_type;
    for (int i = 0; i < V::size; ++i) {
      x.raw[i] = static_cast<C>(factor * __builtin_pow(static_cast<double>(x.raw[i]), p));
    }
    return x;
  }
};

template <class T>
Tensor<T> power(const Tensor<T>& x, double p, double factor) {
  const bool whole = p >= -4 && p <= 4 && p == static_cast<double>(static_cast<int>(p));
  return whole ? map("pow", WholePower{static_cast<int>(p), factor}, x)
               : map("pow", Power{p, factor}, x);
}

}  // namespace detail

template <FloatingElement T>
Tensor<T> pow(const Tensor<T>& x, double p) {
  detail::require_defined("pow", "x", x);
  return autograd::record(
      "pow", detail::power(x, p, 1),
      [x = autograd::save(x), p](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> slope = p == 0 ? zeros<T>(dy.shape()) : detail::power(x.get(), p - 1, p);
        return std::tuple(detail::map("pow", detail::Mul(), dy, slope));
      },
      x);
}

TANDEM_NAMESPACE_END
