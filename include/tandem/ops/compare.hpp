#pragma once
/// eq, ne, lt, le, gt, ge — a = b, a ≠ b, a < b, a ≤ b, a > b, a ≥ b, element by element →
/// Tensor<bool>, with NumPy's broadcasting.
/// logical_and, logical_or, logical_not — a ∧ b, a ∨ b, ¬a of Tensor<bool>, likewise.
///
///   const auto p = tensor<float>({0.05, 0.2, 0.9});
///   logical_or(gt(p, 0.3), lt(p, 0.1));                 // → [True, False, True]
///   (p >= 0.2) & !(p == 0.9);                           // or with functions:
///   logical_and(ge(p, 0.2), logical_not(eq(p, 0.9)));   // → [False, True, False]
///   le(p, 0.2);                                         // → [True, True, False]
///   ne(p, p);                                           // → [False, False, False]
///
/// A comparison with NaN is false, except ne. A scalar is compared by its value, also one that the
/// element type does not hold: ge(x, 0.5), lt(x, UINT64_MAX) and gt(x, 1e300) mean what they say.
/// Only floating elements meet it rounded to their type, so that eq(x, 0.1) holds where x was made
/// from 0.1. Comparisons have no derivative: under recording, an input that needs a gradient is
/// refused (detach() it). The operators ==, !=, <, <=, >, >= are these functions, also with a
/// number on either side, and &, |, ! the logical ones: masked_fill(x, (x < 0) | isnan(x), 0).
/// Errors: shapes do not broadcast.

#include <limits>
#include <type_traits>

#include "tandem/formula/compare.hpp"
#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/tensor/scalar.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class F, class T>
void compare_on_cpu(const F& f, bool* out, const T* a, const T* b, const Loop<3>& loop) {
  each_element(
      loop, out, [f](compute_t<T> x, compute_t<T> y) { return f(x, y); }, a, b);
}

/// out[i] = F(a[i], b[i]) over three layouts.
template <class F, class T>
inline const Kernel<void(Queue&, const F& f, bool* out, const T* a, const T* b,
                         const Loop<3>& loop)>
    compare_elements{"compare_elements", compare_on_cpu<F, T>};

template <class F, class T>
Tensor<bool> compare(const char* op, const F& f, const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined(op, "a", a, "b", b);
  require_same_device(op, a, b);
  require_kernels(op, a, compare_elements<F, T>);
  autograd::refuse_grad(op, a, b);
  const Tensor<bool> out(broadcast_shapes(op, a.shape(), b.shape()), a.device());
  compare_elements<F, T>(a.device(), f, out.mutable_device_data(), a.device_data(), b.device_data(),
                         elementwise_loop(out, a, b));
  return out;
}

/// The comparison with a number that lies between k and the next value of T above it, or that no
/// value of T reaches: k is the largest then, or the smallest that is below all of them.
template <class F, class T>
Tensor<bool> compare_above(const char* op, const F& f, const Tensor<T>& a, T k) {
  const bool above = f(1, 0);  // what is said of the elements above k, and of the others
  if (above == f(-1, 0)) {     // eq, ne
    const Tensor<bool> out(a.shape(), a.device());
    out.fill_(above);
    return out;
  }
  const Tensor<T> bound = full<T>({}, k, a.device());
  return above ? compare(op, formula::Greater(), a, bound)
               : compare(op, formula::LessEqual(), a, bound);
}

/// compare_scalar on a GPU, by comparisons with a tensor of one element.
template <class F, class T, class S>
Tensor<bool> compare_scalar_there(const char* op, const F& f, const Tensor<T>& a, S s) {
  const auto everywhere = [&](bool value) {
    const Tensor<bool> out(a.shape(), a.device());
    out.fill_(value);
    return out;
  };
  if constexpr (std::is_same_v<T, bfloat16>) {
    return compare_scalar_there(op, f, converted<float>(a.detach()), s);
  } else if constexpr (FloatingElement<T>) {
    const T value = static_cast<T>(s);
    if constexpr (std::is_floating_point_v<S> && sizeof(S) > sizeof(T)) {
      using Limits = std::numeric_limits<T>;
      if (is_finite(s) && !is_finite(value))  // rounded, it would equal infinity
        return compare_above(op, f, a, s > 0 ? Limits::max() : -Limits::infinity());
    }
    return compare(op, f, a, full<T>({}, value, a.device()));
  } else {
    std::int64_t k = 0;
    bool fraction = false;
    if constexpr (std::is_floating_point_v<S>) {
      constexpr S above = above_largest<S, std::int64_t>;
      if (is_nan(s) || s >= above || s < -above) return everywhere(f(S(0), s));
      k = static_cast<std::int64_t>(s);
      if (static_cast<S>(k) > s) --k;  // the integer at or below s
      fraction = static_cast<S>(k) != s;
    } else {
      if (!holds<std::int64_t>(s)) return everywhere(f(0, 1));  // above every element
      k = static_cast<std::int64_t>(s);
    }
    using Limits = std::numeric_limits<T>;
    if (k < static_cast<std::int64_t>(Limits::min())) return everywhere(f(1, 0));
    if (k > static_cast<std::int64_t>(Limits::max())) return everywhere(f(0, 1));
    if (fraction) return compare_above(op, f, a, static_cast<T>(k));
    return compare(op, f, a, full<T>({}, static_cast<T>(k), a.device()));
  }
}

/// The scalar of a comparison, by its value. Against integers every number x is equal to the
/// integer k, or lies beside it: x < s is x < k for a whole s = k, and x ≤ k where s = k + a
/// fraction.
template <class F, class T, class S>
Tensor<bool> compare_scalar(const char* op, const F& f, const Tensor<T>& a, S s) {
  detail::require_defined(op, "a", a);
  autograd::refuse_grad(op, a);
  if (!a.device().is_cpu()) return compare_scalar_there(op, f, a, s);
  const Tensor<bool> out(a.shape());
  if constexpr (FloatingElement<T>) {
    using C = compute_t<T>;
    const C value = static_cast<C>(s);
    if constexpr (std::is_floating_point_v<S> && sizeof(S) > sizeof(C)) {
      if (is_finite(s) && !is_finite(value)) {  // rounded, it would equal infinity
        each_into(
            out, [f, s](C x) { return f(static_cast<S>(x), s); }, a);
        return out;
      }
    }
    each_into(
        out, [f, value](C x) { return f(x, value); }, a);
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
    each_into(
        out, [f, value](T x) { return f(static_cast<std::int64_t>(x), value); }, a);
  }
  return out;
}

}  // namespace detail

#define TANDEM_COMPARISON(name, Functor)                                         \
  template <Element T>                                                           \
  Tensor<bool> name(const Tensor<T>& a, const Tensor<T>& b) {                    \
    return detail::compare(#name, formula::Functor(), a, b);                     \
  }                                                                              \
  template <Element T, class S>                                                  \
  requires(std::is_arithmetic_v<S>) Tensor<bool> name(const Tensor<T>& a, S b) { \
    return detail::compare_scalar(#name, formula::Functor(), a, b);              \
  }
TANDEM_COMPARISON(eq, Equal)
TANDEM_COMPARISON(ne, NotEqual)
TANDEM_COMPARISON(lt, Less)
TANDEM_COMPARISON(le, LessEqual)
TANDEM_COMPARISON(gt, Greater)
TANDEM_COMPARISON(ge, GreaterEqual)
#undef TANDEM_COMPARISON

inline Tensor<bool> logical_and(const Tensor<bool>& a, const Tensor<bool>& b) {
  return detail::compare("logical_and", formula::Both(), a, b);
}
inline Tensor<bool> logical_or(const Tensor<bool>& a, const Tensor<bool>& b) {
  return detail::compare("logical_or", formula::Either(), a, b);
}
inline Tensor<bool> logical_not(const Tensor<bool>& a) {
  detail::require_defined("logical_not", "a", a);
  return detail::compare("logical_not", formula::Neither(), a, a);
}

// --- operators ------------------------------------------------------------------------------

#define TANDEM_OPERATOR(symbol, name, mirrored)                                             \
  template <Element T>                                                                      \
  Tensor<bool> operator symbol(const Tensor<T>& a, const Tensor<T>& b) {                    \
    return name(a, b);                                                                      \
  }                                                                                         \
  template <Element T, class S>                                                             \
  requires(std::is_arithmetic_v<S>) Tensor<bool>                                            \
  operator symbol(const Tensor<T>& a, S b) { return name(a, b); }                           \
  template <Element T, class S>                                                             \
  requires(std::is_arithmetic_v<S>) Tensor<bool>                                            \
  operator symbol(S a, const Tensor<T>& b) { return mirrored(b, a); }                       \
  template <Element A, Element B>                                                           \
  requires(!std::is_same_v<A, B>) detail::element_types_differ_convert_one operator symbol( \
      const Tensor<A>&, const Tensor<B>&) = delete;
/// Element by element, not of the tensors as wholes: whether two are equal is all(a == b).item(),
/// whether two variables are one tensor a.is_same(b).
TANDEM_OPERATOR(==, eq, eq)
TANDEM_OPERATOR(!=, ne, ne)
TANDEM_OPERATOR(<, lt, gt)
TANDEM_OPERATOR(<=, le, ge)
TANDEM_OPERATOR(>, gt, lt)
TANDEM_OPERATOR(>=, ge, le)
#undef TANDEM_OPERATOR

/// logical_and, logical_or, logical_not.
inline Tensor<bool> operator&(const Tensor<bool>& a, const Tensor<bool>& b) {
  return logical_and(a, b);
}
inline Tensor<bool> operator|(const Tensor<bool>& a, const Tensor<bool>& b) {
  return logical_or(a, b);
}
inline Tensor<bool> operator!(const Tensor<bool>& a) { return logical_not(a); }
TANDEM_ONE_TYPE_ONLY(eq)
TANDEM_ONE_TYPE_ONLY(ne)
TANDEM_ONE_TYPE_ONLY(lt)
TANDEM_ONE_TYPE_ONLY(le)
TANDEM_ONE_TYPE_ONLY(gt)
TANDEM_ONE_TYPE_ONLY(ge)

TANDEM_NAMESPACE_END
