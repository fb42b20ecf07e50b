#pragma once
/// interpolate — y = x at positions between its own, along each axis after the first two in turn.
///   dx is the sum of dy at the positions that read it, with the weights that they read it with.
///   nearest: y[j] = x[⌊j·n/m⌋];   linear: y[j] = (1 − w)·x[i] + w·x[min(i + 1, n − 1)],  i = ⌊p⌋,
///   w = p − i,  p = max((j + ½)·n/m − ½, 0), or with align_corners p = j·(n − 1)/(m − 1): of n
///   elements m are made.                                  [Hastie et al. 2009; torch.nn.functional]
///   x (N, C, …), size (…) → (N, C, size).  Composed of index_select, mul and add; along two axes
///   linear is bilinear, along three trilinear.
///
///   const auto x = tensor<float>({{1, 2}, {3, 4}}).reshape({1, 1, 2, 2});
///   interpolate(x, {2, 4});   // → [[[[1., 1., 2., 2.], [3., 3., 4., 4.]]]]
///   interpolate(x, {2, 3}, {.mode = Interpolation::linear, .align_corners = true});
///   // → [[[[1., 1.5, 2.], [3., 3.5, 4.]]]]
///
/// A position is computed in double, a nearest one exactly (PyTorch's rounds in float, which shows
/// at a few sizes). Errors: sizes that do not fit or are 0, an empty axis, align_corners of nearest.

#include <vector>

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
  std::vector<std::int64_t> low, high;
  std::vector<T> weight, rest;
  for (std::int64_t j = 0; j < to; ++j) {
    if (options.mode == Interpolation::nearest) {
      low.push_back(j * n / to);
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
    low.push_back(i < n ? i : n - 1);
    high.push_back(i + 1 < n ? i + 1 : n - 1);
    const double w = p > 0 ? p - static_cast<double>(i) : 0;
    weight.push_back(static_cast<T>(w));
    rest.push_back(static_cast<T>(1 - w));
  }
  const Tensor<T> first = index_select(x, dim, on_device(from_vector<std::int64_t>(low)));
  if (options.mode == Interpolation::nearest) return first;
  Shape shape{to};
  for (int a = dim + 1; a < x.rank(); ++a) shape.push_back(1);
  const Tensor<T> second = index_select(x, dim, on_device(from_vector<std::int64_t>(high)));
  return add(mul(first, on_device(from_vector<T>(rest, shape))),
             mul(second, on_device(from_vector<T>(weight, shape))));
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
  Tensor<T> y = x;
  for (int a = 0; a < size.rank(); ++a) {
    TANDEM_CHECK(size[a] >= 1 && x.size(a + 2) >= 1, op, "sizes must be at least 1, got ", size,
                 " for x of shape ", x.shape());
    if (size[a] != x.size(a + 2)) y = detail::interpolate_along(y, a + 2, size[a], options);
  }
  return y;
}

TANDEM_NAMESPACE_END
