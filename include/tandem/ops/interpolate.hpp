#pragma once
/// interpolate — y = x at positions between its own, along each axis after the first two in turn.
///   dx is the sum of dy at the positions that read it, with the weights that they read it with.
///   nearest: y[j] = x[⌊j·n/m⌋];   linear: y[j] = (1 − w)·x[i] + w·x[min(i + 1, n − 1)],  i = ⌊p⌋,
///   w = p − i,  p = max((j + ½)·n/m − ½, 0), or with align_corners p = j·(n − 1)/(m − 1): of n
///   elements m are made.                                 [Hastie et al. 2009; torch.nn.functional]
///   x (N, C, …), size (…) → (N, C, size).  Composed of index_select, mul and add; along two axes
///   linear is bilinear, along three trilinear.
///
///   const auto x = tensor<float>({{1, 2}, {3, 4}}).reshape({1, 1, 2, 2});
///   interpolate(x, {2, 4});   // → [[[[1., 1., 2., 2.], [3., 3., 4., 4.]]]]
///   interpolate(x, {2, 3}, {.mode = Interpolation::linear, .align_corners = true});
///   // → [[[[1., 1.5, 2.], [3., 3.5, 4.]]]]
///
/// A position is computed in double, a nearest one exactly (PyTorch's rounds in float, which shows
/// at a few sizes). The result never shares x's memory: at the same size it is a copy.
/// Errors: sizes that do not fit or are 0, an empty axis, align_corners of nearest.

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

/// What stands between two elements: one of them, or a part of each.
enum class Interpolation { nearest, linear };

/// How interpolate finds its positions.
struct InterpolateOptions {
  Interpolation mode = Interpolation::nearest;
  bool align_corners = false;  ///< the first and last elements stay where they are; of linear only
};

namespace detail {

/// Along dimension `dim` to `to` elements.
template <class T>
Tensor<T> interpolate_along(const Tensor<T>& x, int dim, std::int64_t to,
                            const InterpolateOptions& options) {
  const std::int64_t n = x.size(dim);
  const auto on_device = [&](const auto& tensor) { return tensor.to(x.device()); };
  const bool nearest = options.mode == Interpolation::nearest;
  Shape shape{to};
  for (int a = dim + 1; a < x.rank(); ++a) shape.push_back(1);
  // Tensors, not vectors: a size beyond all memory is refused by their storage before the loop.
  const Tensor<std::int64_t> low({to}), high({nearest ? 0 : to});
  const Shape weights = nearest ? Shape{0} : shape;
  const Tensor<T> weight(weights), rest(weights);
  std::int64_t* const first_at = low.mutable_data();
  std::int64_t* const second_at = high.mutable_data();
  T *const second_weight = weight.mutable_data(), *const first_weight = rest.mutable_data();
  std::int64_t floor = 0, over = 0;  // j·n = floor·to + over, without the product
  for (std::int64_t j = 0; j < to; ++j) {
    if (nearest) {
      first_at[j] = floor;
      floor += n / to;
      over += n % to;
      if (over >= to) {
        over -= to;
        ++floor;
      }
      continue;
    }
    const auto at = static_cast<double>(j), from = static_cast<double>(n);
    double p = 0;
    if (!options.align_corners) {
      p = (at + 0.5) * from / static_cast<double>(to) - 0.5;
    } else if (to > 1) {
      p = at * (from - 1) / static_cast<double>(to - 1);
    }
    const std::int64_t i = p > 0 ? static_cast<std::int64_t>(p) : 0;
    first_at[j] = i < n ? i : n - 1;
    second_at[j] = i + 1 < n ? i + 1 : n - 1;
    const double w = p > 0 ? p - static_cast<double>(i) : 0;
    second_weight[j] = static_cast<T>(w);
    first_weight[j] = static_cast<T>(1 - w);
  }
  const Tensor<T> first = index_select(x, dim, on_device(low));
  if (nearest) return first;
  const Tensor<T> second = index_select(x, dim, on_device(high));
  return add(mul(first, on_device(rest)), mul(second, on_device(weight)));
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> interpolate(
    const Tensor<T>& x, const Shape& size, const InterpolateOptions& options = {}) {
  const char* const op = "interpolate";
  detail::require_defined(op, "x", x);
  TANDEM_CHECK(x.rank() >= 3 && x.rank() == size.rank() + 2, op,
               "expected x of shape (N, C, …) and a size for each axis after these, got ",
               x.shape(), " and ", size);
  TANDEM_CHECK(options.mode == Interpolation::linear || !options.align_corners, op,
               "align_corners is for linear interpolation only");
  Shape shape = x.shape();
  for (int a = 0; a < size.rank(); ++a) {
    TANDEM_CHECK(size[a] >= 1 && x.size(a + 2) >= 1, op, "sizes must be at least 1, got ", size,
                 " for x of shape ", x.shape());
    shape[a + 2] = size[a];
  }
  (void)shape.numel();  // too many elements are refused before anything is computed
  Tensor<T> y = x;
  for (int a = 0; a < size.rank(); ++a) {
    if (size[a] != x.size(a + 2)) y = detail::interpolate_along(y, a + 2, size[a], options);
  }
  return shape == x.shape() ? y.clone() : y;
}

TANDEM_NAMESPACE_END
