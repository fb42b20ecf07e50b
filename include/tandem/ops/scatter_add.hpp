#pragma once
/// scatter_add — y = x, then y[i₀ … index[i] …] += src[i] along dimension d, in row-major order of i.
///   dx = dy;   dsrc[i] = dy[… index[i] …]
///   x (…, n, …), index int64 and src of one shape, no larger than x outside d → shape of x.
///   Saves index.  The order of the sum is fixed: same bits for any thread count.
///
///   Tensor<float> counts = scatter_add(zeros<float>({5}), 0, ids, ones<float>({ids.numel()}));
///
/// Errors: index and src differ in shape, either does not fit x, an index outside [0, n).

#include <cstdint>
#include <tuple>

#include "tandem/ops/gather.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> scatter_add(const Tensor<T>& x, Dim dim, const Tensor<std::int64_t>& index,
                      const Tensor<T>& src) {
  const char* const op = "scatter_add";
  detail::require_defined(op, "x", x, "index", index, "src", src);
  detail::require_cpu(op, x, index, src);
  const int d = normalize_dim(op, dim, x.rank());
  TANDEM_CHECK(index.shape() == src.shape(), op, "the index has shape ", index.shape(),
               ", the source ", src.shape());
  detail::check_index(op, x.shape(), d, index);

  Tensor<T> y = x.detach().clone();
  const Tensor<T> dense = src.detach().contiguous();
  T* sum = y.mutable_data();
  const T* in = dense.data();
  detail::for_indexed(index, y.strides(), d, [&](std::int64_t near, std::int64_t far) {
    sum[far] = T(sum[far] + in[near]);
  });
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        op, y,
        [d, index = autograd::save(index)](const Tensor<T>& dy, autograd::Needs need) {
          Tensor<T> dsrc;
          if (need[1]) {
            const Tensor<std::int64_t>& at = index.get();
            dsrc = Tensor<T>(at.shape());
            T* to = dsrc.mutable_data();
            const T* g = dy.data();
            detail::for_indexed(at, dy.strides(), d, [&](std::int64_t near, std::int64_t far) {
              to[near] = g[far];
            });
          }
          return std::tuple(dy, dsrc);
        },
        x, src);
  } else {
    return y;
  }
}

TANDEM_NAMESPACE_END
