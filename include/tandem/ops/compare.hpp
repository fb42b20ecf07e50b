#pragma once
/// eq, ne, lt, le, gt, ge — a = b, a ≠ b, a < b, a ≤ b, a > b, a ≥ b, element by element → Tensor<bool>,
/// with NumPy's broadcasting; logical_and, logical_or, logical_not on Tensor<bool>.
///
///   Tensor<bool> confident = logical_or(gt(p, 0.3), lt(p, 0.1));
///
/// A comparison with NaN is false, except ne. A scalar is compared by its value, also one that the
/// element type does not hold: ge(x, 0.5), lt(x, UINT64_MAX) and gt(x, 1e300) mean what they say. Only
/// floating elements meet it rounded to their type, so that eq(x, 0.1) holds where x was made from 0.1. Comparisons have no derivative: under recording, an input that needs
/// a gradient is refused (detach() it). Errors: shapes do not broadcast.

#include <type_traits>

#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/tensor/scalar.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct Equal {
  template <class V>
  bool operator()(V a, V b) const {
    return a == b;
  }
};
struct NotEqual {
  template <class V>
  bool operator()(V a, V b) const {
    return a != b;
  }
};
struct Less {
  template <class V>
  bool operator()(V a, V b) const {
    return a < b;
  }
};
struct LessEqual {
  template <class V>
  bool operator()(V a, V b) const {
    return a <= b;
  }
};
struct Greater {
  template <class V>
  bool operator()(V a, V b) const {
    return a > b;
  }
};
struct GreaterEqual {
  template <class V>
  bool operator()(V a, V b) const {
    return a >= b;
  }
};

template <class F, class T>
Tensor<bool> compare(const char* op, const F& f, const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined(op, "a", a, "b", b);
  require_cpu(op, a, b);
  autograd::refuse_grad(op, a, b);
  const Tensor<bool> out(broadcast_shapes(op, a.shape(), b.shape()));
  each_into(out, [f](compute_t<T> x, compute_t<T> y) { return f(x, y); }, a, b);
  return out;
}

/// The scalar of a comparison, by its value. Against integers every number x is equal to the integer k, or
/// lies beside it: x < s is x < k for a whole s = k, and x ≤ k where s = k + a fraction.
template <class F, class T, class S>
Tensor<bool> compare_scalar(const char* op, const F& f, const Tensor<T>& a, S s) {
  detail::require_defined(op, "a", a);
  require_cpu(op, a);
  autograd::refuse_grad(op, a);
  const Tensor<bool> out(a.shape());
  if constexpr (FloatingElement<T>) {
    using C = compute_t<T>;
    const C value = static_cast<C>(s);
    if constexpr (std::is_floating_point_v<S> && sizeof(S) > sizeof(C)) {
      if (is_finite(s) && !is_finite(value)) {  // rounded, it would equal infinity
        each_into(out, [f, s](C x) { return f(static_cast<S>(x), s); }, a);
        return out;
      }
    }
    each_into(out, [f, value](C x) { return f(x, value); }, a);
  } else if constexpr (std::is_floating_point_v<S>) {
    constexpr S above = above_largest<S, std::int64_t>;
    if (is_nan(s)) {
      out.fill_(f(S(0), s));
    } else if (s >= above || s < -above) {
      out.fill_(f(S(0), s));  // beyond all integers, as beyond 0
    } else {
      std::int64_t k = static_cast<std::int64_t>(s);
      if (static_cast<S>(k) > s) --k;  // the integer at or below s
      const bool fraction = static_cast<S>(k) != s;
      each_into(
          out,
          [f, k, fraction](T element) {
            const std::int64_t x = static_cast<std::int64_t>(element);
            return f((x > k) - (fraction ? x <= k : x < k), 0);
          },
          a);
    }
  } else if (!holds<std::int64_t>(s)) {
    out.fill_(f(0, 1));  // above every element
  } else {
    const auto value = static_cast<std::int64_t>(s);
    each_into(out, [f, value](T x) { return f(static_cast<std::int64_t>(x), value); }, a);
  }
  return out;
}

}  // namespace detail

#define TANDEM_COMPARISON(name, Functor)                         \
  template <Element T>                                           \
  Tensor<bool> name(const Tensor<T>& a, const Tensor<T>& b) {    \
    return detail::compare(#name, detail::Functor(), a, b);      \
  }                                                              \
  template <Element T, class S>                                  \
    requires(std::is_arithmetic_v<S>)                            \
  Tensor<bool> name(const Tensor<T>& a, S b) {                   \
    return detail::compare_scalar(#name, detail::Functor(), a, b); \
  }
TANDEM_COMPARISON(eq, Equal)
TANDEM_COMPARISON(ne, NotEqual)
TANDEM_COMPARISON(lt, Less)
TANDEM_COMPARISON(le, LessEqual)
TANDEM_COMPARISON(gt, Greater)
TANDEM_COMPARISON(ge, GreaterEqual)
#undef TANDEM_COMPARISON

inline Tensor<bool> logical_and(const Tensor<bool>& a, const Tensor<bool>& b) {
  return detail::compare("logical_and", [](bool x, bool y) { return x && y; }, a, b);
}
inline Tensor<bool> logical_or(const Tensor<bool>& a, const Tensor<bool>& b) {
  return detail::compare("logical_or", [](bool x, bool y) { return x || y; }, a, b);
}
inline Tensor<bool> logical_not(const Tensor<bool>& a) {
  detail::require_defined("logical_not", "a", a);
  detail::require_cpu("logical_not", a);
  const Tensor<bool> out(a.shape());
  detail::each_into(out, [](bool x) { return !x; }, a);
  return out;
}

TANDEM_NAMESPACE_END
