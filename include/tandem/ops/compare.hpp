#pragma once
/// eq, ne, lt, le, gt, ge — a = b, a ≠ b, a < b, a ≤ b, a > b, a ≥ b, element by element → Tensor<bool>,
/// with NumPy's broadcasting; logical_and, logical_or, logical_not on Tensor<bool>.
///
///   Tensor<bool> confident = logical_or(gt(p, 0.3), lt(p, 0.1));
///
/// A comparison with NaN is false, except ne. A scalar is compared by its value: ge(x, 0.5) of
/// integers means what it says. Comparisons have no derivative: under recording, an input that needs
/// a gradient is refused (detach() it). Errors: shapes do not broadcast.

#include <type_traits>

#include "tandem/ops/elementwise.hpp"

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
  require_cpu(op, a, b);
  autograd::refuse_grad(op, a, b);
  const Tensor<bool> out(broadcast_shapes(op, a.shape(), b.shape()));
  each_into(out, [f](compute_t<T> x, compute_t<T> y) { return f(x, y); }, a, b);
  return out;
}

/// The scalar of a comparison. Against floating elements it is rounded to their type, as a tensor of
/// that type would hold it; against integers both are compared as the wider of the two types.
template <class F, class T, class S>
Tensor<bool> compare_scalar(const char* op, const F& f, const Tensor<T>& a, S s) {
  require_cpu(op, a);
  autograd::refuse_grad(op, a);
  const Tensor<bool> out(a.shape());
  if constexpr (FloatingElement<T>) {
    const auto value = static_cast<compute_t<T>>(s);
    each_into(out, [f, value](compute_t<T> x) { return f(x, value); }, a);
  } else {
    using Common = std::conditional_t<std::is_floating_point_v<S>, double, std::int64_t>;
    const auto value = static_cast<Common>(s);
    each_into(out, [f, value](T x) { return f(static_cast<Common>(x), value); }, a);
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
  detail::require_cpu("logical_not", a);
  const Tensor<bool> out(a.shape());
  detail::each_into(out, [](bool x) { return !x; }, a);
  return out;
}

TANDEM_NAMESPACE_END
