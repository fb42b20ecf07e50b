#pragma once
/// sum — y = Σ x over all or the given dimensions.
///   dx = dy, repeated over the summed dimensions (an expanded view, not a copy).
///   x (…) → the shape without the summed dimensions, or with size 1 there (keepdim).
///   Saves nothing but the shape.  Integers and bool are summed as int64.
///
///   const auto x = tensor<float>({{1, 2}, {3, 4}});
///   sum(x);            // → 10.
///   sum(x, {0, -1});   // → 10.
///   sum(x, 1, true);   // → [[3.], [7.]]
///
/// Same bits for every thread count; how the terms are added, and the error: cpu/sum.hpp. bfloat16
/// is summed in float and rounded once. Errors: a dimension out of range or given twice.

#include <cstdint>
#include <tuple>
#include <type_traits>

#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// The given dimensions as bits; none given means all.
inline unsigned dim_bits(const char* op, const Shape& dims, int rank) {
  if (dims.rank() == 0) return (1u << rank) - 1;
  unsigned bits = 0;
  for (const std::int64_t dim : dims) {
    const int d = normalize_dim(op, dim, rank);
    TANDEM_CHECK((bits >> d & 1u) == 0, op, "dimension ", d, " appears twice in ", dims);
    bits |= 1u << d;
  }
  return bits;
}

/// `shape` without the dimensions in `bits`, or with size 1 there.
inline Shape reduced_shape(const Shape& shape, unsigned bits, bool keepdim) {
  Shape out;
  for (int d = 0; d < shape.rank(); ++d) {
    if ((bits >> d & 1u) == 0) {
      out.push_back(shape[d]);
    } else if (keepdim) {
      out.push_back(1);
    }
  }
  return out;
}

}  // namespace detail

template <Element T>
Tensor<detail::sum_t<T>> sum(const Tensor<T>& x, const Shape& dims, bool keepdim = false) {
  detail::require_defined("sum", "x", x);
  if constexpr (FloatingElement<T>) {
    detail::require_kernels("sum", x, autograd::sum_dims<detail::compute_t<T>>);
  } else {
    detail::require_cpu("sum", x);
  }
  const unsigned bits = detail::dim_bits("sum", dims, x.rank());
  const Shape kept = detail::reduced_shape(x.shape(), bits, true);
  const Shape shape = keepdim ? kept : detail::reduced_shape(x.shape(), bits, false);
  if constexpr (FloatingElement<T>) {
    const Tensor<T> wide = autograd::sum_to_shape(x.detach(), kept);
    // Nothing summed: the result must not share x's memory.
    const Tensor<T> out = (kept == x.shape() ? wide.clone() : wide).reshape(shape);
    return autograd::record(
        "sum", out,
        [full = x.shape(), kept](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(dy.reshape(kept).expand(full));
        },
        x);
  } else {
    Tensor<std::int64_t> out(shape);
    cpu::sum_dims(x.shape(), x.data(), x.strides(), bits, out.mutable_data());
    return out;
  }
}

template <Element T, DimensionNumber D>
Tensor<detail::sum_t<T>> sum(const Tensor<T>& x, D dim, bool keepdim = false) {
  return sum(x, Shape{static_cast<std::int64_t>(dim)}, keepdim);
}
template <Element T>
Tensor<detail::sum_t<T>> sum(const Tensor<T>& x) {
  return sum(x, Shape());
}

TANDEM_NAMESPACE_END
