#pragma once
/// gather — y[i₀ … i_d …] = x[i₀ … index[i₀ … i_d …] …] along dimension d.
///   dx[… index[i] …] += dy[i], in row-major order of i: same bits for any thread count
///   x (…, n, …), index int64 of the same rank, no larger than x outside d → shape of index.
///   Saves index.
///
///   Tensor<float> of_label = gather(scores, -1, labels.unsqueeze(-1));
///
/// Errors: ranks differ, index larger than x outside d, an index outside [0, n).

#include <cstdint>
#include <tuple>

#include "tandem/ops/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Calls f(at, index value) for every position of `index` in row-major order: `at` is the offset in
/// `dense` (of the shape of index), and `far` that in a tensor with `far_strides`.
template <class F>
void for_indexed(const Tensor<std::int64_t>& index, const Strides& far_strides, int dim, F&& f) {
  Strides without = far_strides;
  without[dim] = 0;
  const Loop<3> loop = make_loop<3>(
      index.shape(), {contiguous_strides(index.shape()), index.strides(), without});
  const std::int64_t* ids = index.data();
  const std::int64_t step = far_strides[dim];
  loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[3]) {
    for (std::int64_t i = 0; i < loop.inner; ++i) {
      const std::int64_t id = ids[at[1] + i * loop.inner_strides[1]];
      f(at[0] + i * loop.inner_strides[0], at[2] + i * loop.inner_strides[2] + id * step);
    }
  });
}

/// What gather and scatter_add demand of `index` for a tensor of `shape`.
inline void check_index(const char* op, const Shape& shape, int dim,
                        const Tensor<std::int64_t>& index) {
  bool fits = index.rank() == shape.rank();
  for (int d = 0; fits && d < shape.rank(); ++d) fits = d == dim || index.shape()[d] <= shape[d];
  TANDEM_CHECK(fits, op, "an index of shape ", index.shape(), " does not fit a tensor of shape ",
               shape, " along dimension ", dim);
  const Loop<1> loop = make_loop<1>(index.shape(), {index.strides()});
  const std::int64_t* ids = index.data();
  loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[1]) {
    for (std::int64_t i = 0; i < loop.inner; ++i) {
      const std::int64_t id = ids[at[0] + i * loop.inner_strides[0]];
      TANDEM_CHECK(id >= 0 && id < shape[dim], op, "index ", id,
                   " is out of range for dimension ", dim, " of shape ", shape);
    }
  });
}

}  // namespace detail

template <Element T>
Tensor<T> gather(const Tensor<T>& x, Dim dim, const Tensor<std::int64_t>& index) {
  const char* const op = "gather";
  detail::require_defined(op, "x", x, "index", index);
  detail::require_cpu(op, x, index);
  const int d = normalize_dim(op, dim, x.rank());
  detail::check_index(op, x.shape(), d, index);

  Tensor<T> y(index.shape());
  T* to = y.mutable_data();
  const T* from = x.data();
  detail::for_indexed(index, x.strides(), d,
                      [&](std::int64_t near, std::int64_t far) { to[near] = from[far]; });
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, y,
        [d, shape = x.shape(), index = autograd::save(index)](const Tensor<T>& dy,
                                                              autograd::Needs) {
          const Tensor<T> dx = zeros<T>(shape), dense = dy.contiguous();
          T* sum = dx.mutable_data();
          const T* g = dense.data();
          detail::for_indexed(index.get(), dx.strides(), d, [&](std::int64_t near, std::int64_t far) {
            sum[far] = T(sum[far] + g[near]);
          });
          return std::tuple(dx);
        },
        x);
  } else {
    return y;
  }
}

TANDEM_NAMESPACE_END
