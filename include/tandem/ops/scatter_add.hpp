#pragma once
/// scatter_add — y = x, then y[i₀ … index[i] …] += src[i] along dimension d, in row-major order of
/// i.
///   dx = dy;   dsrc[i] = dy[… index[i] …]
///   x (…, n, …), index int64 and src of one shape, no larger than x outside d → shape of x.
///   Saves index.  The order of the sum is fixed: same bits for any thread count.
///
///   const auto ids = tensor<std::int64_t>({0, 3, 0});
///   scatter_add(zeros<float>({4}), 0, ids, ones<float>({3}));   // → [2., 0., 0., 1.]
///
/// Errors: index and src differ in shape, either does not fit x, an index outside [0, n); on a GPU
/// nothing is added for such an index, and its gradient is NaN.

#include <cstdint>
#include <tuple>

#include "tandem/ops/gather.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> scatter_add(const Tensor<T>& x, Dim dim, const Tensor<std::int64_t>& index,
                      const Tensor<T>& src) {
  const char* const op = "scatter_add";
  detail::require_defined(op, "x", x, "index", index, "src", src);
  detail::require_same_device(op, x, index, src);
  detail::require_kernels(op, x, detail::gather_forward<T>, detail::scatter_forward<T>);
  const int d = normalize_dim(op, dim, x.rank());
  TANDEM_CHECK(index.shape() == src.shape(), op, "the index has shape ", index.shape(),
               ", the source ", src.shape());
  detail::check_index(op, x.shape(), d, index);

  const Tensor<T> y = x.detach().clone(), dense = src.detach().contiguous();
  detail::scatter_forward<T>(x.device(), y.mutable_device_data(), dense.device_data(),
                             index.device_data(),
                             detail::indexed_loop(index, y.shape(), y.strides(), d));
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, y,
        [d, index = autograd::save(index)](const Tensor<T>& dy, autograd::Needs need) {
          Tensor<T> dsrc;
          if (need[1]) {
            const Tensor<std::int64_t>& at = index.get();
            dsrc = Tensor<T>(at.shape(), dy.device());
            detail::gather_forward<T>(dy.device(), dsrc.mutable_device_data(), dy.device_data(),
                                      at.device_data(),
                                      detail::indexed_loop(at, dy.shape(), dy.strides(), d));
          }
          return std::tuple(dy, dsrc);
        },
        x, src);
  } else {
    return y;
  }
}
template <Element T, Element I>
requires(!std::is_same_v<I, std::int64_t>) detail::ids_are_int64_convert_by_to_int64
    scatter_add(const Tensor<T>&, Dim, const Tensor<I>&, const Tensor<T>&)
= delete;

TANDEM_NAMESPACE_END
