#pragma once
/// index_select — y[…, j, …] = x[…, ids[j], …] along one dimension.
///   dx[…, i, …] = Σ over the j with ids[j] = i of dy[…, j, …]
///   x (…, n, …), ids int64 (m) → (…, m, …).  Saves ids.
///   The sum runs over j in increasing order whatever the thread count: same bits.
///
///   const auto x = tensor<float>({{0, 1}, {10, 11}, {20, 21}});
///   index_select(x, 0, tensor<std::int64_t>({2, 0}));   // → [[20., 21.], [0., 1.]]
///
/// Errors: ids not one-dimensional, an id outside [0, n). On a GPU, where looking at the ids would
/// mean to wait, such an id selects NaN (0 for integers) and gets no gradient.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Throws unless all ids, which are dense, lie in [0, n). Those on a GPU are not looked at: that
/// would wait for it.
inline void check_ids(const char* op, const Tensor<std::int64_t>& dense, std::int64_t n) {
  if (!dense.device().is_cpu()) return;
  const std::int64_t* const ids = dense.data();
  for (std::int64_t j = 0; j < dense.numel(); ++j) {
    TANDEM_CHECK(ids[j] >= 0 && ids[j] < n, op, "index ", ids[j], " at position ", j,
                 " is out of range: there are ", n);
  }
}

template <class T>
void select_rows_on_cpu(T* y, const T* x, const std::int64_t* ids, std::int64_t outer,
                        std::int64_t n, std::int64_t m, std::int64_t inner) {
  if (inner == 0) return;  // nothing, whose address memcpy must not be given
  cpu::parallel_for(outer * m, grain_for(inner), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* from = x + (row / m * n + ids[row % m]) * inner;
      std::memcpy(static_cast<void*>(y + row * inner), from,
                  static_cast<std::size_t>(inner) * sizeof(T));
    }
  });
}

/// Threads own columns, so no two touch one element and each element meets its summands in the
/// order of j.
template <class T>
void add_rows_on_cpu(T* dx, const T* dy, const std::int64_t* ids, std::int64_t outer,
                     std::int64_t n, std::int64_t m, std::int64_t inner) {
  std::fill_n(dx, outer * n * inner, T(0));
  constexpr std::int64_t width = 128;
  const std::int64_t pieces = cpu::num_chunks(inner, width);
  const std::int64_t work = m * (inner < width ? inner : width);
  cpu::parallel_for(outer * pieces, grain_for(work), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t o = task / pieces, k0 = task % pieces * width;
      const std::int64_t k1 = k0 + width < inner ? k0 + width : inner;
      for (std::int64_t j = 0; j < m; ++j) {
        T* TANDEM_RESTRICT to = dx + (o * n + ids[j]) * inner;
        const T* TANDEM_RESTRICT from = dy + (o * m + j) * inner;
        for (std::int64_t k = k0; k < k1; ++k) to[k] = T(to[k] + from[k]);
      }
    }
  });
}

/// y (outer, m, inner): row j is row ids[j] of x (outer, n, inner).
template <class T>
inline const Kernel<void(Queue&, T* y, const T* x, const std::int64_t* ids, std::int64_t outer,
                         std::int64_t n, std::int64_t m, std::int64_t inner)>
    select_rows{"select_rows", select_rows_on_cpu<T>};
/// dx (outer, n, inner): row i is the sum of the rows j of dy (outer, m, inner) with ids[j] = i,
/// from 0 in their order.
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const std::int64_t* ids, std::int64_t outer,
                         std::int64_t n, std::int64_t m, std::int64_t inner)>
    add_rows{"add_rows", add_rows_on_cpu<T>};

}  // namespace detail

template <Element T>
Tensor<T> index_select(const Tensor<T>& x, Dim dim, const Tensor<std::int64_t>& ids) {
  const char* const op = "index_select";
  detail::require_defined(op, "x", x, "ids", ids);
  detail::require_same_device(op, x, ids);
  detail::require_kernels(op, x, detail::select_rows<T>);
  if constexpr (FloatingElement<T>) detail::require_kernels(op, x, detail::add_rows<T>);
  const int d = normalize_dim(op, dim, x.rank());
  TANDEM_CHECK(ids.rank() == 1, op, "the ids must have one dimension, their shape is ",
               ids.shape());
  const detail::DimSplit split = detail::split_at(x.shape(), d);
  const Tensor<std::int64_t> index = ids.contiguous();
  const std::int64_t m = index.numel();
  detail::check_ids(op, index, split.n);

  const Tensor<T> dense = x.detach().contiguous();
  Shape shape = x.shape();
  shape[d] = m;
  Tensor<T> y(shape, x.device());
  detail::select_rows<T>(x.device(), y.mutable_device_data(), dense.device_data(),
                         index.device_data(), split.outer, split.n, m, split.inner);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, y,
        [split, shape = x.shape(), index = autograd::save(index)](const Tensor<T>& dy,
                                                                  autograd::Needs) {
          const Tensor<T> g = dy.contiguous(), dx(shape, dy.device());
          const Tensor<std::int64_t>& at = index.get();
          detail::add_rows<T>(dy.device(), dx.mutable_device_data(), g.device_data(),
                              at.device_data(), split.outer, split.n, at.numel(), split.inner);
          return std::tuple(dx);
        },
        x);
  } else {
    return y;
  }
}
template <Element T, Element I>
requires(!std::is_same_v<I, std::int64_t>) detail::ids_are_int64_convert_by_to_int64
    index_select(const Tensor<T>&, Dim, const Tensor<I>&)
= delete;

TANDEM_NAMESPACE_END
