#pragma once
/// Copies in which a device other than the CPU takes part.

#include <cstdint>

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN

/// copy_elements where at least one side is not on the CPU. Between devices only whole dense
/// tensors travel; what else is asked for happens on the device where they arrive.
template <Element T>
void Tensor<T>::copy_with_device(const Tensor& from) const {
  const DeviceInterface& table = cuda_interface();
  const int index = (device().is_cpu() ? from : *this).device().index();
  const std::int64_t bytes = numel() * static_cast<std::int64_t>(sizeof(T));
  if (is_contiguous() && from.is_contiguous() && shape() == from.shape()) {
    if (device().is_cpu()) {
      return table.copy_to_host(index, mutable_data(), from.device_data(), bytes);
    }
    if (from.device().is_cpu()) {
      return table.copy_to_device(index, mutable_device_data(), from.data(), bytes);
    }
    if (from.device() == device()) {
      return table.copy_on_device(index, mutable_device_data(), from.device_data(), bytes);
    }
    return copy_with_device(from.detach().cpu_copy());
  }
  if (from.device() != device()) {
    const Tensor there(from.shape(), device());
    there.copy_elements(from.detach().contiguous());
    return copy_elements(there);
  }
  const auto loop = detail::make_loop<2>(
      shape(), {strides(), detail::broadcast_strides(from.shape(), from.strides(), shape())});
  StridedCopy copy = {mutable_device_data(),
                      from.device_data(),
                      sizeof(T),
                      numel(),
                      loop.shape.rank() + 1,
                      {},
                      {},
                      {}};
  for (int d = 0; d < loop.shape.rank(); ++d) {
    copy.sizes[d] = loop.shape[d];
    copy.to_strides[d] = loop.strides[0][d];
    copy.from_strides[d] = loop.strides[1][d];
  }
  copy.sizes[copy.rank - 1] = loop.inner;
  copy.to_strides[copy.rank - 1] = loop.inner_strides[0];
  copy.from_strides[copy.rank - 1] = loop.inner_strides[1];
  table.copy_strided(index, copy);
}

TANDEM_NAMESPACE_END
