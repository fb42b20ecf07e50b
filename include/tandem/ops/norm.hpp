#pragma once
/// norm — y = Σ |x|, √(Σ x²) or max |x| for p = 1, 2 or ∞, over all or the given dimensions.
///   dx = dy·sign(x),   dy·x/y (0 where y = 0),   dy·sign(x) at the first largest |x|
///   x (…) → the shape without those dimensions, or with size 1 there (keepdim).
///   p = 1 and ∞ are composed of abs, sum and max; p = 2 has the loops of normalize.  Saves x/y.
///
///   const auto x = tensor<float>({{3, 4}, {0, -7}});
///   norm(x);                     // → 8.6023   p = 2
///   norm(x, 1, -1, true);        // → [[7.], [7.]]
///   norm(x, INFINITY, {0, 1});   // → 7.
///
/// The 2-norm is exact to rounding for every magnitude (normalize.hpp): no square overflows or
/// vanishes. bfloat16 is computed in float and rounded once. Errors: another p; a dimension out of
/// range or given twice; p = ∞ of no elements.

#include <cstdint>
#include <limits>
#include <tuple>

#include "tandem/ops/abs.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/clamp.hpp"
#include "tandem/ops/max.hpp"
#include "tandem/ops/normalize.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// x as (kept, reduced): the dimensions in `bits` behind the others.
template <Element T>
Tensor<T> reduced_last(const Tensor<T>& x, unsigned bits) {
  Shape order;
  std::int64_t rows = 1, n = 1;
  for (const bool reduced : {false, true}) {
    for (int d = 0; d < x.rank(); ++d) {
      if (((bits >> d & 1u) != 0) != reduced) continue;
      order.push_back(d);
      (reduced ? n : rows) *= x.shape()[d];
    }
  }
  return x.permute(order).reshape({rows, n});
}

/// √(Σ x²) of each row of x (rows, n).
template <FloatingElement T>
Tensor<T> row_norms(const char* op, const Tensor<T>& x) {
  require_kernels(op, x, normalize_forward<T>);
  const Tensor<T> xs = x.detach().contiguous();
  const std::int64_t rows = x.size(0), n = x.size(1);
  if (n == 0)
    return autograd::record(
        op, zeros<T>({rows}, x.device()),
        [x = x.shape()](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(zeros<T>(x, dy.device()));
        },
        x);
  const Tensor<T> unit(xs.shape(), x.device()), norms({rows}, x.device());
  // Where a norm is not above the smallest number, its row of `unit` is 0 and it is negative.
  normalize_forward<T>(x.device(), unit.mutable_device_data(), norms.mutable_device_data(),
                       xs.device_data(), rows, n, 1, std::numeric_limits<T>::denorm_min());
  return autograd::record(
      op, clamp_min(norms, 0),
      [unit = autograd::save(unit)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(mul(unit.get(), dy.unsqueeze(1)));
      },
      x);
}

}  // namespace detail

template <FloatingElement T>
Tensor<T> norm(const Tensor<T>& x, double p, const Shape& dims, bool keepdim = false) {
  const char* const op = "norm";
  detail::require_defined(op, "x", x);
  const bool largest = p == std::numeric_limits<double>::infinity();
  TANDEM_CHECK(p == 1 || p == 2 || largest, op, "p must be 1, 2 or infinity, it is ", p);
  if constexpr (std::is_same_v<T, bfloat16>) {
    return norm(x.template to<float>(), p, dims, keepdim).template to<bfloat16>();
  } else {
    const unsigned bits = detail::dim_bits(op, dims, x.rank());
    const Shape shape = detail::reduced_shape(x.shape(), bits, keepdim);
    if (p == 2) return detail::row_norms(op, detail::reduced_last(x, bits)).reshape(shape);
    if (p == 1) return sum(abs(x), dims, keepdim);
    const Tensor<T> rows = detail::reduced_last(x, bits);
    TANDEM_CHECK(rows.size(1) > 0, op, "there is nothing to choose from in shape ", x.shape());
    return max(abs(rows), 1).values.reshape(shape);
  }
}
template <FloatingElement T, DimensionNumber D>
Tensor<T> norm(const Tensor<T>& x, double p, D dim, bool keepdim = false) {
  return norm(x, p, Shape{static_cast<std::int64_t>(dim)}, keepdim);
}
template <FloatingElement T>
Tensor<T> norm(const Tensor<T>& x, double p = 2) {
  return norm(x, p, Shape());
}
TANDEM_FLOATS_ONLY(norm)

TANDEM_NAMESPACE_END
