#pragma once
/// The two sums that autograd itself needs: adding one gradient to another, and summing a gradient
/// over the dimensions in which its tensor was broadcast.

#include <cstdint>
#include <type_traits>

#include "tandem/cpu/sum.hpp"
#include "tandem/cuda/kernels.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN

namespace autograd {

namespace detail {
struct AddDense {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(T* sum, const T* g, std::int64_t n) {
    cpu::vec_map<V>(
        n, sum, [](V a, V b) TANDEM_INLINE_LAMBDA { return a + b; }, sum, g);
  }
};
}  // namespace detail

/// sum += g; both have the same shape, any layout.
template <FloatingElement T>
void add_into(const Tensor<T>& sum, const Tensor<T>& g) {
  TANDEM_CHECK(sum.shape() == g.shape(), "backward", "a gradient of shape ", g.shape(),
               " arrived where one of shape ", sum.shape(), " had arrived before");
  if (sum.device().is_cuda()) {
    const auto add = cuda::require("add", cuda::kernels<T>().add, sum);
    // The kernel takes dense operands: a part of a larger gradient is added up beside it.
    const Tensor<T> part = sum.contiguous(), dense = g.contiguous();
    T* to = part.mutable_device_data();
    add(cuda::stream_of(sum.device()), to, to, dense.device_data(), sum.numel());
    if (!sum.is_contiguous()) sum.copy_elements(part);
    return;
  }
  T* to = sum.mutable_data();
  const T* from = g.data();
  if constexpr (!std::is_same_v<T, bfloat16>) {
    if (sum.is_contiguous() && g.is_contiguous()) {
      cpu::parallel_for(sum.numel(), 16384, [&](std::int64_t begin, std::int64_t end) {
        cpu::simd_dispatch<detail::AddDense, T>(to + begin, from + begin, end - begin);
      });
      return;
    }
  }
  const auto loop = tandem::detail::make_loop<2>(sum.shape(), {sum.strides(), g.strides()});
  const std::int64_t n = loop.inner, to_step = loop.inner_strides[0],
                     from_step = loop.inner_strides[1];
  loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[2]) {
    T* out = to + at[0];
    const T* in = from + at[1];
    for (std::int64_t i = 0; i < n; ++i) {
      out[i * to_step] = T(out[i * to_step] + in[i * from_step]);
    }
  });
}

namespace detail {
/// sum_to_shape on a device: the summed dimensions go first, so that each sum runs down a column.
template <FloatingElement T>
Tensor<T> sum_to_shape_on_device(const Tensor<T>& g, const Shape& shape) {
  const auto column_sums = cuda::require("sum_to_shape", cuda::kernels<T>().column_sums, g);
  const int shift = g.rank() - shape.rank();
  Shape summed, kept;
  std::int64_t rows = 1;
  for (int d = 0; d < g.rank(); ++d) {
    if (d < shift || (shape[d - shift] == 1 && g.shape()[d] != 1)) {
      summed.push_back(d);
      rows *= g.shape()[d];
    } else {
      kept.push_back(d);
    }
  }
  for (const std::int64_t d : kept) summed.push_back(d);
  const Tensor<T> matrix = g.detach().permute(summed).contiguous(), out(shape, g.device());
  column_sums(cuda::stream_of(g.device()), out.mutable_device_data(), matrix.device_data(), rows,
              out.numel());
  return out;
}
}  // namespace detail

/// Sums `g` over the dimensions in which a tensor of `shape` was broadcast to g's shape.
template <FloatingElement T>
Tensor<T> sum_to_shape(const Tensor<T>& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  if (g.device().is_cuda()) return detail::sum_to_shape_on_device(g, shape);
  if constexpr (std::is_same_v<T, bfloat16>) {  // summed in float, rounded once
    const Tensor<float> wide(g.shape());
    tandem::detail::strided_copy(g.shape(), wide.mutable_data(), wide.strides(), g.data(),
                                 g.strides());
    const Tensor<float> sum = sum_to_shape(wide, shape);
    const Tensor<T> out(shape);
    tandem::detail::strided_copy(shape, out.mutable_data(), out.strides(), sum.data(),
                                 sum.strides());
    return out;
  } else {
    const Tensor<T> out(shape);
    const int shift = g.rank() - shape.rank();
    unsigned summed = 0;
    for (int d = 0; d < g.rank(); ++d) {
      if (d < shift || (shape[d - shift] == 1 && g.shape()[d] != 1)) summed |= 1u << d;
    }
    cpu::sum_dims(g.shape(), g.data(), g.strides(), summed, out.mutable_data());
    return out;
  }
}

}  // namespace autograd

TANDEM_NAMESPACE_END
