#pragma once
/// add, sub, mul, div, neg — a + b, a − b, a·b, a / b, −a, with NumPy's broadcasting.
///   add: da = dy,    db = dy            sub: da = dy,    db = −dy
///   mul: da = dy·b,  db = dy·a          div: da = dy/b,  db = −(dy/b)·(a/b)          neg: da = −dy
///   each summed over the dimensions in which its operand was broadcast.
///   a, b of shapes that broadcast → the common shape.  mul saves both operands, div b and the
///   quotient; add, sub and scalars save nothing.
///
///   Tensor<float> x = tensor<float>({1, 2, 3}), y = (x - 2) / 0.5 * 2 + 1;
///   y;                                // → [-3., 1., 5.]
///   { NoGrad guard; x -= 0.5 * y; }   // in place
///   add(x, neg(x));                   // → [0., 0., 0.]
///   div(mul(x, y), sub(y, -5));       // → [-3.75, 0.25, 0.25]
///
/// A scalar operand is converted to the element type first. Integers wrap around; integer division
/// truncates as in C++ and throws when a divisor is zero. bfloat16 is computed in float.
/// Errors: shapes do not broadcast; a scalar that the element type does not hold: a fraction or a
/// number outside the range of an integer type, a finite one too large for a floating type; in
/// place: the result's shape would change, or a gradient would be lost.

#include <tuple>
#include <type_traits>

#include "tandem/formula/arithmetic.hpp"
#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/tensor/scalar.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Refuses a zero among integers by which a tensor of `shape` is divided.
template <class T>
void check_divisors(const char* op, const Shape& shape, const Tensor<T>& b) {
  if constexpr (std::is_integral_v<T>) {
    require_cpu(op, b);
    if (shape.numel() == 0) return;
    const Tensor<T> dense = b.detach().contiguous();
    const T* values = dense.data();
    for (std::int64_t i = 0; i < dense.numel(); ++i) {
      TANDEM_CHECK(values[i] != 0, op, "an integer was divided by zero");
    }
  }
}

/// `s` as a value of what T is computed in; refuses one that T does not hold.
template <class T, class S>
compute_t<T> scalar_of(const char* op, S s) {
  return scalar_value<compute_t<T>>(op, s, dtype_of<T>);
}

}  // namespace detail

template <ArithmeticElement T>
Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined("add", "a", a, "b", b);
  Tensor<T> out = detail::map("add", formula::Add(), a, b);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "add", out,
        [sa = a.shape(), sb = b.shape()](const Tensor<T>& dy, autograd::Needs need) {
          return std::tuple(need[0] ? autograd::sum_to_shape(dy, sa) : Tensor<T>(),
                            need[1] ? autograd::sum_to_shape(dy, sb) : Tensor<T>());
        },
        a, b);
  }
  return out;
}

template <ArithmeticElement T>
Tensor<T> sub(const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined("sub", "a", a, "b", b);
  Tensor<T> out = detail::map("sub", formula::Sub(), a, b);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "sub", out,
        [sa = a.shape(), sb = b.shape()](const Tensor<T>& dy, autograd::Needs need) {
          return std::tuple(need[0] ? autograd::sum_to_shape(dy, sa) : Tensor<T>(),
                            need[1]
                                ? detail::map("sub", formula::Neg(), autograd::sum_to_shape(dy, sb))
                                : Tensor<T>());
        },
        a, b);
  }
  return out;
}

template <ArithmeticElement T>
Tensor<T> mul(const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined("mul", "a", a, "b", b);
  Tensor<T> out = detail::map("mul", formula::Mul(), a, b);
  if constexpr (FloatingElement<T>) {
    // Each operand is needed for the other's gradient only.
    return autograd::record(
        "mul", out,
        [a = autograd::save(b.requires_grad() ? a : Tensor<T>()),
         b = autograd::save(a.requires_grad() ? b : Tensor<T>()), sa = a.shape(),
         sb = b.shape()](const Tensor<T>& dy, autograd::Needs need) {
          const auto times = [&](const Tensor<T>& other, const Shape& shape) {
            return autograd::sum_to_shape(detail::map("mul", formula::Mul(), dy, other), shape);
          };
          return std::tuple(need[0] ? times(b.get(), sa) : Tensor<T>(),
                            need[1] ? times(a.get(), sb) : Tensor<T>());
        },
        a, b);
  }
  return out;
}

template <ArithmeticElement T>
Tensor<T> div(const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined("div", "a", a, "b", b);
  detail::check_divisors("div", a.shape(), b);
  Tensor<T> out = detail::map("div", formula::Div(), a, b);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "div", out,
        [b = autograd::save(b), y = autograd::save(b.requires_grad() ? out : Tensor<T>()),
         sa = a.shape()](const Tensor<T>& dy, autograd::Needs need) {
          const Tensor<T>& d = b.get();
          return std::tuple(
              need[0] ? autograd::sum_to_shape(detail::map("div", formula::Div(), dy, d), sa)
                      : Tensor<T>(),
              need[1]
                  ? autograd::sum_to_shape(
                        detail::map("div", formula::DivisorGradient(), dy, d, y.get()), d.shape())
                  : Tensor<T>());
        },
        a, b);
  }
  return out;
}

template <ArithmeticElement T>
Tensor<T> neg(const Tensor<T>& x) {
  detail::require_defined("neg", "x", x);
  Tensor<T> out = detail::map("neg", formula::Neg(), x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "neg", out,
        [](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(detail::map("neg", formula::Neg(), dy));
        },
        x);
  }
  return out;
}

// --- with a scalar ----------------------------------------------------------------------------

template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> add(const Tensor<T>& x, S s) {
  detail::require_defined("add", "x", x);
  const formula::ScalarRight<formula::Add, detail::compute_t<T>> f{detail::scalar_of<T>("add", s)};
  Tensor<T> out = detail::map("add with a scalar", f, x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "add", out, [](const Tensor<T>& dy, autograd::Needs) { return std::tuple(dy); }, x);
  }
  return out;
}

template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> sub(const Tensor<T>& x, S s) {
  detail::require_defined("sub", "x", x);
  const formula::ScalarRight<formula::Sub, detail::compute_t<T>> f{detail::scalar_of<T>("sub", s)};
  Tensor<T> out = detail::map("sub with a scalar", f, x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "sub", out, [](const Tensor<T>& dy, autograd::Needs) { return std::tuple(dy); }, x);
  }
  return out;
}

template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> sub(S s, const Tensor<T>& x) {
  detail::require_defined("sub", "x", x);
  const formula::ScalarLeft<formula::Sub, detail::compute_t<T>> f{detail::scalar_of<T>("sub", s)};
  Tensor<T> out = detail::map("sub with a scalar", f, x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "sub", out,
        [](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(detail::map("sub", formula::Neg(), dy));
        },
        x);
  }
  return out;
}

template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> mul(const Tensor<T>& x, S s) {
  detail::require_defined("mul", "x", x);
  const formula::ScalarRight<formula::Mul, detail::compute_t<T>> f{detail::scalar_of<T>("mul", s)};
  Tensor<T> out = detail::map("mul with a scalar", f, x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "mul", out,
        [f](const Tensor<T>& dy, autograd::Needs) { return std::tuple(detail::map("mul", f, dy)); },
        x);
  }
  return out;
}

template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> div(const Tensor<T>& x, S s) {
  detail::require_defined("div", "x", x);
  const formula::ScalarRight<formula::Div, detail::compute_t<T>> f{detail::scalar_of<T>("div", s)};
  if constexpr (std::is_integral_v<T>) {
    TANDEM_CHECK(f.s != 0 || x.numel() == 0, "div", "an integer was divided by zero");
  }
  Tensor<T> out = detail::map("div with a scalar", f, x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "div", out,
        [f](const Tensor<T>& dy, autograd::Needs) { return std::tuple(detail::map("div", f, dy)); },
        x);
  }
  return out;
}

template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> div(S s, const Tensor<T>& x) {
  detail::require_defined("div", "x", x);
  const formula::ScalarLeft<formula::Div, detail::compute_t<T>> f{detail::scalar_of<T>("div", s)};
  detail::check_divisors("div", x.shape(), x);
  Tensor<T> out = detail::map("div with a scalar", f, x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "div", out,
        [x = autograd::save(x), y = autograd::save(out)](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(detail::map("div", formula::DivisorGradient(), dy, x.get(), y.get()));
        },
        x);
  }
  return out;
}

// --- operators ------------------------------------------------------------------------------

/// −x: neg.
template <ArithmeticElement T>
Tensor<T> operator-(const Tensor<T>& x) {
  return neg(x);
}

#define TANDEM_OPERATOR(symbol, name)                                                       \
  template <ArithmeticElement T>                                                            \
  Tensor<T> operator symbol(const Tensor<T>& a, const Tensor<T>& b) {                       \
    return name(a, b);                                                                      \
  }                                                                                         \
  template <ArithmeticElement T, class S>                                                   \
  requires(std::is_arithmetic_v<S>) Tensor<T>                                               \
  operator symbol(const Tensor<T>& a, S b) { return name(a, b); }                           \
  template <Element A, Element B>                                                           \
  requires(!std::is_same_v<A, B>) detail::element_types_differ_convert_one operator symbol( \
      const Tensor<A>&, const Tensor<B>&) = delete;
/// a + b, a − b, a·b, a/b: add, sub, mul, div, also with a number on the right.
TANDEM_OPERATOR(+, add)
TANDEM_OPERATOR(-, sub)
TANDEM_OPERATOR(*, mul)
TANDEM_OPERATOR(/, div)
#undef TANDEM_OPERATOR

/// The same with a number on the left.
template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T>
operator+(S a, const Tensor<T>& b) { return add(b, a); }
template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T>
operator-(S a, const Tensor<T>& b) { return sub(a, b); }
template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T>
operator*(S a, const Tensor<T>& b) { return mul(b, a); }
template <ArithmeticElement T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T>
operator/(S a, const Tensor<T>& b) { return div(a, b); }

// --- in place: x += y changes the elements that x and its views share ---------------------------

namespace detail {

template <class F, class T>
const Tensor<T>& update(const char* op, const F& f, const Tensor<T>& x, const Tensor<T>& y) {
  detail::require_defined(op, "a", x, "b", y);
  require_map<F>(op, x, y);
  if constexpr (std::is_same_v<F, formula::Div>) check_divisors("div", x.shape(), y);
  x.refuse_in_place(op);
  autograd::refuse_grad(op, y);
  const Shape common = broadcast_shapes(op, x.shape(), y.shape());
  TANDEM_CHECK(common == x.shape(), op, "shape ", y.shape(), " does not broadcast to ", x.shape(),
               ", which an operation in place cannot change");
  x.refuse_shared_elements(op);
  // Reading a differently laid out view of what is being written would read results.
  const bool overlaps =
      may_share_memory(x, y) && !(x.offset() == y.offset() && x.shape() == y.shape() &&
                                  x.strides() == y.strides() && x.storage() == y.storage());
  map_into(x, f, x, overlaps ? y.detach().clone() : y);
  return x;
}

}  // namespace detail

#define TANDEM_UPDATE(symbol, name, functor)                                                    \
  template <ArithmeticElement T>                                                                \
  const Tensor<T>& operator symbol(const Tensor<T>& x, const Tensor<T>& y) {                    \
    return detail::update(name, functor(), x, y);                                               \
  }                                                                                             \
  template <ArithmeticElement T, class S>                                                       \
  requires(std::is_arithmetic_v<S>) const Tensor<T>& operator symbol(const Tensor<T>& x, S s) { \
    const Tensor<T> value =                                                                     \
        full<T>({}, detail::convert_element<T>(detail::scalar_of<T>(name, s)), x.device());     \
    return detail::update(name, functor(), x, value);                                           \
  }                                                                                             \
  template <Element A, Element B>                                                               \
  requires(!std::is_same_v<A, B>) detail::element_types_differ_convert_one operator symbol(     \
      const Tensor<A>&, const Tensor<B>&) = delete;
/// x + y, x − y, x·y, x/y in x's own elements; y broadcasts to x's shape.
TANDEM_UPDATE(+=, "add in place", formula::Add)
TANDEM_UPDATE(-=, "sub in place", formula::Sub)
TANDEM_UPDATE(*=, "mul in place", formula::Mul)
TANDEM_UPDATE(/=, "div in place", formula::Div)
#undef TANDEM_UPDATE
TANDEM_ONE_TYPE_ONLY(add)
TANDEM_ONE_TYPE_ONLY(sub)
TANDEM_ONE_TYPE_ONLY(mul)
TANDEM_ONE_TYPE_ONLY(div)

TANDEM_NAMESPACE_END
