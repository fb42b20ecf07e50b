#pragma once
/// topk — the k largest entries along one dimension, in falling order, and where they are.
///   dx is dy at the chosen places and 0 elsewhere.
///   x (…, n, …) → values and indices int64, both (…, k, …).  Saves the indices.
///   Equal values: the lower index comes first. NaN counts as larger than every number.
///   On the CPU a selection in O(n) (nth_element), then O(k log k); a GPU sorts, with the same
///   result.
///
///   auto [values, indices] = topk(tensor<float>({3, 9, 1, 7}), 2);   // → [9., 7.], [1, 3]
///
/// `largest = false` gives the k smallest in rising order (NaN last, lower index first).
/// Errors: k outside [0, n].

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// What topk returns: the values, and where along the dimension they were.
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

template <class T>
void topk_on_cpu(T* values, std::int64_t* indices, const T* x, std::int64_t outer, std::int64_t n,
                 std::int64_t inner, std::int64_t k, bool largest) {
  cpu::parallel_for(outer * inner, grain_for(8 * n), [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    for (std::int64_t column = begin; column < end; ++column) {
      const std::int64_t o = column / inner, at = column % inner, to = o * k * inner + at;
      select_top(x + o * n * inner + at, n, inner, k, largest, order, values + to, indices + to);
    }
  });
}
template <class T>
void topk_backward_on_cpu(T* dx, const T* dy, const std::int64_t* indices, std::int64_t outer,
                          std::int64_t n, std::int64_t inner, std::int64_t k) {
  std::fill_n(dx, outer * n * inner, T(0));
  for (std::int64_t i = 0; i < outer * k * inner; ++i) {
    const std::int64_t o = i / (k * inner), at = i % inner;
    dx[(o * n + indices[i]) * inner + at] = dy[i];  // each place at most once
  }
}

/// The k first of x (outer, n, inner) along the middle dimension, (outer, k, inner), and where they
/// are.
template <class T>
inline const Kernel<void(Queue&, T* values, std::int64_t* indices, const T* x, std::int64_t outer,
                         std::int64_t n, std::int64_t inner, std::int64_t k, bool largest)>
    topk_forward{"topk_forward", topk_on_cpu<T>};
/// dx = dy at those places, 0 elsewhere.
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const std::int64_t* indices,
                         std::int64_t outer, std::int64_t n, std::int64_t inner, std::int64_t k)>
    topk_backward{"topk_backward", topk_backward_on_cpu<T>};

}  // namespace detail

template <Element T>
TopK<T> topk(const Tensor<T>& x, std::int64_t k, Dim dim = -1, bool largest = true) {
  const char* const op = "topk";
  detail::require_defined(op, "x", x);
  detail::require_kernels(op, x, detail::topk_forward<T>);
  if constexpr (FloatingElement<T>) detail::require_kernels(op, x, detail::topk_backward<T>);
  const int d = normalize_dim(op, dim, x.rank());
  const detail::DimSplit split = detail::split_at(x.shape(), d);
  TANDEM_CHECK(k >= 0 && k <= split.n, op, "k = ", k, " is out of range for dimension ", d,
               " of shape ", x.shape());

  const Tensor<T> dense = x.detach().contiguous();
  Shape shape = x.shape();
  shape[d] = k;
  Tensor<T> values(shape, x.device());
  const Tensor<std::int64_t> indices(shape, x.device());
  detail::topk_forward<T>(x.device(), values.mutable_device_data(), indices.mutable_device_data(),
                          dense.device_data(), split.outer, split.n, split.inner, k, largest);
  if constexpr (FloatingElement<T>) {
    values = autograd::record(
        op, values,
        [split, k, shape = x.shape(), indices = autograd::save(indices)](const Tensor<T>& dy,
                                                                         autograd::Needs) {
          const Tensor<T> g = dy.contiguous(), dx(shape, dy.device());
          detail::topk_backward<T>(dy.device(), dx.mutable_device_data(), g.device_data(),
                                   indices.get().device_data(), split.outer, split.n, split.inner,
                                   k);
          return std::tuple(dx);
        },
        x);
  }
  return {values, indices};
}

TANDEM_NAMESPACE_END
