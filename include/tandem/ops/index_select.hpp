#pragma once
/// index_select — y[…, j, …] = x[…, ids[j], …] along one dimension.
///   dx[…, i, …] = Σ over the j with ids[j] = i of dy[…, j, …]
///   x (…, n, …), ids int64 (m) → (…, m, …).  Saves ids.
///   The sum runs over j in increasing order whatever the thread count: same bits.
///
///   Tensor<float> two_rows = index_select(x, 0, tensor<std::int64_t>({4, 1}));
///
/// Errors: ids not one-dimensional, an id outside [0, n).

#include <cstdint>
#include <cstring>
#include <tuple>

#include "tandem/ops/common.hpp"
#include "tandem/ops/dim_split.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Throws unless all of `count` ids lie in [0, n).
inline void check_ids(const char* op, const std::int64_t* ids, std::int64_t count, std::int64_t n) {
  for (std::int64_t j = 0; j < count; ++j) {
    TANDEM_CHECK(ids[j] >= 0 && ids[j] < n, op, "index ", ids[j], " at position ", j,
                 " is out of range: there are ", n);
  }
}

/// x (outer, n, inner) → y (outer, m, inner).
template <class T>
void select_rows(const DimSplit& s, const T* x, const std::int64_t* ids, std::int64_t m, T* y) {
  cpu::parallel_for(s.outer * m, grain_for(s.inner), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* from = x + (row / m * s.n + ids[row % m]) * s.inner;
      std::memcpy(static_cast<void*>(y + row * s.inner), from,
                  static_cast<std::size_t>(s.inner) * sizeof(T));
    }
  });
}

/// dx (outer, n, inner) += dy (outer, m, inner). Threads own columns, so no two touch one element
/// and each element meets its summands in the order of j.
template <class T>
void add_rows(const DimSplit& s, T* dx, const std::int64_t* ids, std::int64_t m, const T* dy) {
  constexpr std::int64_t width = 128;
  const std::int64_t pieces = cpu::num_chunks(s.inner, width);
  const std::int64_t work = m * (s.inner < width ? s.inner : width);
  cpu::parallel_for(s.outer * pieces, grain_for(work), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t o = task / pieces, k0 = task % pieces * width;
      const std::int64_t k1 = k0 + width < s.inner ? k0 + width : s.inner;
      for (std::int64_t j = 0; j < m; ++j) {
        T* TANDEM_RESTRICT to = dx + (o * s.n + ids[j]) * s.inner;
        const T* TANDEM_RESTRICT from = dy + (o * m + j) * s.inner;
        for (std::int64_t k = k0; k < k1; ++k) to[k] = T(to[k] + from[k]);
      }
    }
  });
}

}  // namespace detail

template <Element T>
Tensor<T> index_select(const Tensor<T>& x, Dim dim, const Tensor<std::int64_t>& ids) {
  const char* const op = "index_select";
  detail::require_defined(op, "x", x, "ids", ids);
  detail::require_cpu(op, x, ids);
  const int d = normalize_dim(op, dim, x.rank());
  TANDEM_CHECK(ids.rank() == 1, op, "the ids must have one dimension, their shape is ", ids.shape());
  const detail::DimSplit split = detail::split_at(x.shape(), d);
  const Tensor<std::int64_t> index = ids.contiguous();
  const std::int64_t m = index.numel();
  detail::check_ids(op, index.data(), m, split.n);

  const Tensor<T> dense = x.detach().contiguous();
  Shape shape = x.shape();
  shape[d] = m;
  Tensor<T> y(shape);
  detail::select_rows(split, dense.data(), index.data(), m, y.mutable_data());
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, y,
        [split, shape = x.shape(), index = autograd::save(index)](const Tensor<T>& dy,
                                                                  autograd::Needs) {
          const Tensor<T> dx = zeros<T>(shape), g = dy.contiguous();
          const Tensor<std::int64_t>& at = index.get();
          detail::add_rows(split, dx.mutable_data(), at.data(), at.numel(), g.data());
          return std::tuple(dx);
        },
        x);
  } else {
    return y;
  }
}

TANDEM_NAMESPACE_END
