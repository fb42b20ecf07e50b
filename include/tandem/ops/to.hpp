#pragma once
/// to — y = x as another element type, or on another device.
///   dx = dy converted back.
///   x (…) → same shape.  Saves nothing.  When nothing changes, the result is x itself.
///
///   tensor<float>({1, 0.1}).to<bfloat16>().to<double>();          // → [1., 0.1001]
///   Tensor<float> there = tensor<float>({1}).to(Device::cpu());   // or Device::cuda()
///
/// Floating to integer cuts off the fraction; out of range gives the nearest value and NaN gives 0;
/// bool is "not zero"; bfloat16 rounds to nearest, ties to even. Between floating types the
/// gradient flows; a conversion to an integer type or bool has no derivative and is refused when x
/// needs a gradient under recording. Errors: the device does not exist.

#include <cstdint>
#include <tuple>

#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {
template <class T>
struct include_tandem_ops_to_hpp {};
}  // namespace detail

template <Element T>
template <Element U>
Tensor<U> Tensor<T>::to(NeedsTo) const {
  (void)impl("to");
  if constexpr (std::is_same_v<T, U>) {
    return *this;
  } else {
    detail::require_kernels("to", *this, detail::convert_elements<U, T>);
    if constexpr (!FloatingElement<U>) autograd::refuse_grad("to", *this);
    const Tensor<U> out(shape(), device());
    if (device().is_cpu()) {
      detail::copy_into(out, *this);
    } else {
      detail::convert_elements<U, T>(device(), out.mutable_device_data(),
                                     detach().contiguous().device_data(), numel());
    }
    if constexpr (FloatingElement<T> && FloatingElement<U>) {
      return autograd::record(
          "to", out,
          [](const Tensor<U>& dy, autograd::Needs) { return std::tuple(dy.template to<T>()); },
          *this);
    } else {
      return out;
    }
  }
}

template <Element T>
Tensor<T> Tensor<T>::to(Device device, NeedsTo) const {
  if (device == impl("to").storage->device()) return *this;
  require_device("to", device);
  const Tensor out(shape(), device);
  out.copy_elements(contiguous());
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "to", out,
        [from = this->device()](const Tensor& dy, autograd::Needs) {
          return std::tuple(dy.to(from));
        },
        *this);
  } else {
    return out;
  }
}

TANDEM_NAMESPACE_END
