#pragma once
/// where — y = a where the condition holds, b elsewhere.
///   da = dy where the condition holds, 0 elsewhere;  db the other way round;
///   each summed over the dimensions in which its operand was broadcast.
///   condition, a, b of shapes that broadcast → the common shape.  Saves the condition.
///
///   const auto x = tensor<float>({-2, 3});
///   where(x > 0, x, 0.1 * x);   // → [-0.2, 3.]
///   where(x > 0, 1, x);         // → [-2., 1.]
///
/// The branch not taken has no influence, even where it is NaN. Errors: shapes do not broadcast; a
/// number that the element type does not hold.

#include <tuple>
#include <type_traits>

#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/tensor/scalar.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class T>
void choose_on_cpu(T* out, const bool* condition, const T* a, const T* b, const Loop<4>& loop) {
  each_element(
      loop, out, [](bool c, T x, T y) { return c ? x : y; }, condition, a, b);
}

/// out[i] = condition[i] ? a[i] : b[i] over four layouts.
template <class T>
inline const Kernel<void(Queue&, T* out, const bool* condition, const T* a, const T* b,
                         const Loop<4>& loop)>
    choose_elements{"choose_elements", choose_on_cpu<T>};

/// a where the condition holds, b elsewhere, without a gradient.
template <Element T>
Tensor<T> choose(const Tensor<bool>& condition, const Tensor<T>& a, const Tensor<T>& b) {
  const char* const op = "where";
  Tensor<T> out(broadcast_shapes(op, broadcast_shapes(op, condition.shape(), a.shape()), b.shape()),
                a.device());
  choose_elements<T>(a.device(), out.mutable_device_data(), condition.device_data(),
                     a.device_data(), b.device_data(), elementwise_loop(out, condition, a, b));
  return out;
}

}  // namespace detail

template <Element T>
Tensor<T> where(const Tensor<bool>& condition, const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_defined("where", "condition", condition, "a", a, "b", b);
  detail::require_same_device("where", condition, a, b);
  detail::require_kernels("where", a, detail::choose_elements<T>);
  Tensor<T> out = detail::choose(condition, a, b);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "where", out,
        [condition = autograd::save(condition), sa = a.shape(), sb = b.shape()](
            const Tensor<T>& dy, autograd::Needs need) {
          const Tensor<T> zero = zeros<T>({}, dy.device());
          const Tensor<bool>& c = condition.get();
          return std::tuple(
              need[0] ? autograd::sum_to_shape(detail::choose(c, dy, zero), sa) : Tensor<T>(),
              need[1] ? autograd::sum_to_shape(detail::choose(c, zero, dy), sb) : Tensor<T>());
        },
        a, b);
  }
  return out;
}

template <Element A, Element B>
requires(!std::is_same_v<A, B>) detail::element_types_differ_convert_one
    where(const Tensor<bool>&, const Tensor<A>&, const Tensor<B>&)
= delete;

template <Element T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> where(const Tensor<bool>& condition, const Tensor<T>& a,
                                                  S b) {
  detail::require_defined("where", "condition", condition, "a", a);
  return where(condition, a, full<T>({}, detail::scalar_element<T>("where", b), a.device()));
}
template <Element T, class S>
requires(std::is_arithmetic_v<S>) Tensor<T> where(const Tensor<bool>& condition, S a,
                                                  const Tensor<T>& b) {
  detail::require_defined("where", "condition", condition, "b", b);
  return where(condition, full<T>({}, detail::scalar_element<T>("where", a), b.device()), b);
}

TANDEM_NAMESPACE_END
