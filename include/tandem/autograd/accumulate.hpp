#pragma once
/// The two sums that autograd itself needs: adding one gradient to another, and summing a gradient
/// over the dimensions in which its tensor was broadcast.

#include <cstdint>
#include <type_traits>

#include "tandem/cpu/map.hpp"
#include "tandem/cpu/sum.hpp"
#include "tandem/formula/arithmetic.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class Out, class In>
void convert_on_cpu(Out* to, const In* from, std::int64_t n) {
  cpu::convert_row(to, 1, from, 1, n);
}
/// to[i] = from[i], converted. On the CPU any layout is converted where it lies (copy_into).
template <class Out, class In>
inline const Kernel<void(Queue&, Out* to, const In* from, std::int64_t n)> convert_elements{
    "convert_elements", convert_on_cpu<Out, In>};

/// The values of `x` as another floating type, where it is, recording nothing.
template <class To, class From>
Tensor<To> converted(const Tensor<From>& x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else {
    const Tensor<To> out(x.shape(), x.device());
    if (x.device().is_cpu()) {
      strided_copy(x.shape(), out.mutable_data(), out.strides(), x.data(), x.strides());
    } else {
      convert_elements<To, From>(x.device(), out.mutable_device_data(),
                                 x.detach().contiguous().device_data(), x.numel());
    }
    return out;
  }
}

}  // namespace detail

namespace autograd {

/// sum += g; both have the same shape, any layout.
template <FloatingElement T>
void add_into(const Tensor<T>& sum, const Tensor<T>& g) {
  TANDEM_CHECK(sum.shape() == g.shape(), "backward", "a gradient of shape ", g.shape(),
               " arrived where one of shape ", sum.shape(), " had arrived before");
  auto loop =
      tandem::detail::make_loop<3>(sum.shape(), {sum.strides(), sum.strides(), g.strides()});
  if (loop.inner == 1) loop.inner_strides[0] = loop.inner_strides[1] = loop.inner_strides[2] = 1;
  T* const to = sum.mutable_device_data();
  cpu::map_kernel<formula::Add, T, 2>(sum.device(), {}, {to, {to, g.device_data()}, loop});
}

/// out = Σ x over the dimensions whose bits are set in `summed`; out is dense, without them.
template <class T>
inline const Kernel<void(Queue&, const Shape& shape, const T* x, const Strides& strides,
                         unsigned summed, T* out)>
    sum_dims{"sum_dims", cpu::sum_dims<T>};

/// Sums `g` over the dimensions in which a tensor of `shape` was broadcast to g's shape.
template <FloatingElement T>
Tensor<T> sum_to_shape(const Tensor<T>& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  if constexpr (std::is_same_v<T, bfloat16>) {  // summed in float, rounded once
    return tandem::detail::converted<T>(sum_to_shape(tandem::detail::converted<float>(g), shape));
  } else {
    const Tensor<T> out(shape, g.device());
    const int shift = g.rank() - shape.rank();
    unsigned summed = 0;
    for (int d = 0; d < g.rank(); ++d) {
      if (d < shift || (shape[d - shift] == 1 && g.shape()[d] != 1)) summed |= 1u << d;
    }
    sum_dims<T>(g.device(), g.shape(), g.device_data(), g.strides(), summed,
                out.mutable_device_data());
    return out;
  }
}

}  // namespace autograd

TANDEM_NAMESPACE_END
