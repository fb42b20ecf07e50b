#pragma once
/// gather — y[i₀ … i_d …] = x[i₀ … index[i₀ … i_d …] …] along dimension d.
///   dx[… index[i] …] += dy[i], in row-major order of i: same bits for any thread count
///   x (…, n, …), index int64 of the same rank, no larger than x outside d → shape of index.
///   Saves index.
///
///   const auto scores = tensor<float>({{1, 2}, {3, 4}});
///   gather(scores, -1, tensor<std::int64_t>({{1}, {0}}));   // → [[2.], [3.]]
///
/// Errors: ranks differ, index larger than x outside d, an index outside [0, n); on a GPU such an
/// index gives NaN (0 for integers) and no gradient.

#include <cstdint>
#include <tuple>

#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

inline IndexedLoop indexed_loop(const Tensor<std::int64_t>& index, const Shape& far_shape,
                                const Strides& far_strides, int dim) {
  Shape shape = index.shape();
  Strides strides[3] = {contiguous_strides(shape), index.strides(), far_strides};
  strides[2][dim] = 0;
  IndexedLoop out{.all = make_loop<3>(shape, strides),
                  .columns = {},
                  .length = shape[dim],
                  .near_step = strides[0][dim],
                  .index_step = strides[1][dim],
                  .far_step = far_strides[dim],
                  .n = far_shape[dim]};
  shape.erase(dim);
  for (Strides& s : strides) s.erase(dim);
  out.columns = make_loop<3>(shape, strides);
  return out;
}

/// Calls f(near, far) for every position of the index in row-major order.
template <class F>
void for_indexed(const IndexedLoop& indexed, const std::int64_t* ids, F&& f) {
  const Loop<3>& loop = indexed.all;
  loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[3]) {
    for (std::int64_t i = 0; i < loop.inner; ++i) {
      const std::int64_t id = ids[at[1] + i * loop.inner_strides[1]];
      f(at[0] + i * loop.inner_strides[0],
        at[2] + i * loop.inner_strides[2] + id * indexed.far_step);
    }
  });
}

template <class T>
void gather_on_cpu(T* near, const T* far, const std::int64_t* ids, const IndexedLoop& loop) {
  for_indexed(loop, ids, [=](std::int64_t at, std::int64_t from) { near[at] = far[from]; });
}
template <class T>
void scatter_on_cpu(T* far, const T* near, const std::int64_t* ids, const IndexedLoop& loop) {
  for_indexed(loop, ids,
              [=](std::int64_t at, std::int64_t to) { far[to] = T(far[to] + near[at]); });
}

/// near[i] = far[… ids[i] …].
template <class T>
inline const Kernel<void(Queue&, T* near, const T* far, const std::int64_t* ids,
                         const IndexedLoop& loop)>
    gather_forward{"gather_forward", gather_on_cpu<T>};
/// far[… ids[i] …] += near[i], in row-major order of i.
template <class T>
inline const Kernel<void(Queue&, T* far, const T* near, const std::int64_t* ids,
                         const IndexedLoop& loop)>
    scatter_forward{"scatter_forward", scatter_on_cpu<T>};

/// What gather and scatter_add demand of `index` for a tensor of `shape`. Ids on a GPU are not
/// looked at: that would wait for it.
inline void check_index(const char* op, const Shape& shape, int dim,
                        const Tensor<std::int64_t>& index) {
  bool fits = index.rank() == shape.rank();
  for (int d = 0; fits && d < shape.rank(); ++d) fits = d == dim || index.shape()[d] <= shape[d];
  TANDEM_CHECK(fits, op, "an index of shape ", index.shape(), " does not fit a tensor of shape ",
               shape, " along dimension ", dim);
  if (!index.device().is_cpu()) return;
  const Loop<1> loop = make_loop<1>(index.shape(), {index.strides()});
  const std::int64_t* ids = index.data();
  loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[1]) {
    for (std::int64_t i = 0; i < loop.inner; ++i) {
      const std::int64_t id = ids[at[0] + i * loop.inner_strides[0]];
      TANDEM_CHECK(id >= 0 && id < shape[dim], op, "index ", id, " is out of range for dimension ",
                   dim, " of shape ", shape);
    }
  });
}

}  // namespace detail

template <Element T>
Tensor<T> gather(const Tensor<T>& x, Dim dim, const Tensor<std::int64_t>& index) {
  const char* const op = "gather";
  detail::require_defined(op, "x", x, "index", index);
  detail::require_same_device(op, x, index);
  detail::require_kernels(op, x, detail::gather_forward<T>);
  if constexpr (FloatingElement<T>) detail::require_kernels(op, x, detail::scatter_forward<T>);
  const int d = normalize_dim(op, dim, x.rank());
  detail::check_index(op, x.shape(), d, index);

  const Tensor<T> y(index.shape(), x.device());
  detail::gather_forward<T>(x.device(), y.mutable_device_data(), x.device_data(),
                            index.device_data(),
                            detail::indexed_loop(index, x.shape(), x.strides(), d));
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, y,
        [d, shape = x.shape(), index = autograd::save(index)](const Tensor<T>& dy,
                                                              autograd::Needs) {
          const Tensor<T> dx = zeros<T>(shape, dy.device()), g = dy.contiguous();
          const Tensor<std::int64_t>& at = index.get();
          detail::scatter_forward<T>(dy.device(), dx.mutable_device_data(), g.device_data(),
                                     at.device_data(),
                                     detail::indexed_loop(at, shape, dx.strides(), d));
          return std::tuple(dx);
        },
        x);
  } else {
    return y;
  }
}
template <Element T, Element I>
requires(!std::is_same_v<I, std::int64_t>) detail::ids_are_int64_convert_by_to_int64
    gather(const Tensor<T>&, Dim, const Tensor<I>&)
= delete;

TANDEM_NAMESPACE_END
