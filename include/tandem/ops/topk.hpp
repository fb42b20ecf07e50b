#pragma once
/// topk — the k largest entries along one dimension, in falling order, and where they are.
///   dx is dy at the chosen places and 0 elsewhere.
///   x (…, n, …) → values and indices int64, both (…, k, …).  Saves the indices.
///   Equal values: the lower index comes first. NaN counts as larger than every number.
///   Selection in O(n) (nth_element), then O(k log k).
///
///   auto [values, indices] = topk(scores, 8, 1);   // along time of (B, T, C)
///
/// `largest = false` gives the k smallest in rising order (NaN last, lower index first).
/// Errors: k outside [0, n].

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "tandem/ops/common.hpp"
#include "tandem/ops/dim_split.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
struct TopK {
  Tensor<T> values;
  Tensor<std::int64_t> indices;
};

namespace detail {

/// A strict order on values with NaN above all numbers.
template <class T>
bool value_less(T a, T b) {
  return a < b || (b != b && a == a);
}

/// Writes the k first of column `x` (n values, `step` apart) to values and indices (same step).
template <class T>
void select_top(const T* x, std::int64_t n, std::int64_t step, std::int64_t k, bool largest,
                std::vector<std::int64_t>& order, T* values, std::int64_t* indices) {
  for (std::int64_t i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  const auto before = [&](std::int64_t i, std::int64_t j) {
    const T a = x[i * step], b = x[j * step];
    if (largest ? value_less(b, a) : value_less(a, b)) return true;
    if (largest ? value_less(a, b) : value_less(b, a)) return false;
    return i < j;
  };
  const auto first = order.begin(), kth = first + k;
  if (k > 0 && k < n) std::nth_element(first, kth - 1, order.end(), before);
  std::sort(first, kth, before);
  for (std::int64_t i = 0; i < k; ++i) {
    const std::int64_t at = order[static_cast<std::size_t>(i)];
    indices[i * step] = at;
    values[i * step] = x[at * step];
  }
}

}  // namespace detail

template <Element T>
TopK<T> topk(const Tensor<T>& x, std::int64_t k, Dim dim = -1, bool largest = true) {
  const char* const op = "topk";
  detail::require_defined(op, "x", x);
  detail::require_cpu(op, x);
  const int d = normalize_dim(op, dim, x.rank());
  const detail::DimSplit split = detail::split_at(x.shape(), d);
  TANDEM_CHECK(k >= 0 && k <= split.n, op, "k = ", k, " is out of range for dimension ", d,
               " of shape ", x.shape());

  const Tensor<T> dense = x.detach().contiguous();
  Shape shape = x.shape();
  shape[d] = k;
  Tensor<T> values(shape);
  const Tensor<std::int64_t> indices(shape);
  const T* in = dense.data();
  T* out = values.mutable_data();
  std::int64_t* ids = indices.mutable_data();
  cpu::parallel_for(split.outer * split.inner, detail::grain_for(8 * split.n),
                    [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(split.n));
    for (std::int64_t column = begin; column < end; ++column) {
      const std::int64_t o = column / split.inner, at = column % split.inner;
      const std::int64_t to = o * k * split.inner + at;
      detail::select_top(in + o * split.n * split.inner + at, split.n, split.inner, k, largest,
                         order, out + to, ids + to);
    }
  });
  if constexpr (FloatingElement<T>) {
    values = autograd::record(
        op, values,
        [split, k, shape = x.shape(), indices = autograd::save(indices)](const Tensor<T>& dy,
                                                                         autograd::Needs) {
          const Tensor<T> dx = zeros<T>(shape), dense_dy = dy.contiguous();
          T* to = dx.mutable_data();
          const T* g = dense_dy.data();
          const std::int64_t* chosen = indices.get().data();
          const std::int64_t count = split.outer * k * split.inner;
          for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t o = i / (k * split.inner), at = i % split.inner;
            to[(o * split.n + chosen[i]) * split.inner + at] = g[i];  // each place at most once
          }
          return std::tuple(dx);
        },
        x);
  }
  return {values, indices};
}

TANDEM_NAMESPACE_END
