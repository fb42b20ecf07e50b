#pragma once
/// pad — y = x with a constant around it.
///   dx = dy without the margin (a view, not a copy).
///   x (n₀, n₁, …) → (b₀ + n₀ + a₀, b₁ + n₁ + a₁, …): one pair {before, after} per dimension, in
///   order, as numpy.pad takes them.  Saves nothing but sizes.
///
///   const auto x = tensor<float>({{1, 2}, {3, 4}});
///   pad(x, {{0, 0}, {1, 2}});         // → [[0., 1., 2., 0., 0.], [0., 3., 4., 0., 0.]]
///   pad(x, {{0, 1}, {0, 0}}, 0.25);   // → [[1., 2.], [3., 4.], [0.25, 0.25]]
///
/// Errors: not one pair per dimension; a negative margin.

#include <cstdint>
#include <initializer_list>
#include <tuple>
#include <vector>

#include "tandem/cpu/window3d.hpp"
#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/tensor/scalar.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> pad(const Tensor<T>& x, const std::vector<Margin>& margins, double value = 0) {
  const char* const op = "pad";
  detail::require_defined(op, "x", x);
  TANDEM_CHECK(static_cast<int>(margins.size()) == x.rank(), op, margins.size(),
               " margins were given for shape ", x.shape());
  Shape padded = x.shape();
  for (int d = 0; d < x.rank(); ++d) {
    const Margin& m = margins[static_cast<std::size_t>(d)];
    TANDEM_CHECK(m.before >= 0 && m.after >= 0, op, "the margins of dimension ", d,
                 " must not be negative: ", m.before, " and ", m.after);
    TANDEM_CHECK(!__builtin_add_overflow(padded[d], m.before, &padded[d]) &&
                     !__builtin_add_overflow(padded[d], m.after, &padded[d]),
                 op, "the margins of dimension ", d, " are too large: ", m.before, " and ",
                 m.after);
  }
  // The part of the result, or of its gradient, that is x.
  const auto inside = [margins, shape = x.shape()](Tensor<T> y) {
    for (int d = 0; d < shape.rank(); ++d) {
      const std::int64_t before = margins[static_cast<std::size_t>(d)].before;
      y = y.slice(d, before, before + shape[d]);
    }
    return y;
  };
  const Tensor<T> out = full<T>(padded, detail::scalar_element<T>(op, value), x.device());
  detail::copy_into(inside(out), x);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, out, [inside](const Tensor<T>& dy, autograd::Needs) { return std::tuple(inside(dy)); },
        x);
  } else {
    return out;
  }
}

TANDEM_NAMESPACE_END
