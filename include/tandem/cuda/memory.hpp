#pragma once
/// The memory of a GPU: how much tensors hold, and who still reads it.
///
///   reset_peak_memory(gpu);
///   train_step();
///   std::printf("%lld bytes at most\n", static_cast<long long>(memory_stats(gpu).peak));
///
/// A tensor's memory belongs to the queue on which it was made, and is used again in the order of
/// that queue as soon as the tensor is gone; allocating and freeing do not wait. A tensor that
/// another queue reads or writes is named to record_use, at any time before it goes: its memory is
/// then used again only when that queue has come past all that was put into it until then.
///
/// Memory is taken from the GPU in large pieces, which are kept; TANDEM_CUDA_POOL=0 in the
/// environment asks the GPU for each tensor instead, for tools that watch the memory. When there is
/// none left, the error, OutOfMemory, says how much was asked for, how much is held, the largest
/// free block, and what the GPU has left.

#include "tandem/cuda/queue.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN

/// Bytes that are held on a device now, and at most since the start or reset_peak_memory().
inline MemoryStats memory_stats(Device device) {
  if (device.is_cpu()) return memory_stats();
  require_device("memory_stats", device);
  return cuda_interface().memory_stats(device.index());
}
/// What a GPU has left, in bytes, beside what tandem keeps for reuse. Errors: the device is no GPU.
inline std::int64_t free_memory(Device device) {
  TANDEM_CHECK(device.is_cuda(), "free_memory", "is asked of a GPU, not of ", device);
  require_device("free_memory", device);
  return cuda_interface().free_memory(device.index());
}
/// Starts a new measurement of the peak.
inline void reset_peak_memory(Device device) {
  if (device.is_cpu()) return reset_peak_memory();
  require_device("reset_peak_memory", device);
  cuda_interface().reset_peak_memory(device.index());
}
/// Gives the device what is not used; waits for a GPU. Errors: while a graph is captured.
inline void release_kept_memory(Device device) {
  if (device.is_cpu()) return release_kept_memory();
  require_device("release_kept_memory", device);
  cuda_interface().release_kept_memory(device.index());
}

/// Says that `queue`, which did not make x, reads or writes it. Errors: x is on another device than
/// the queue.
template <Element T>
void record_use(const Tensor<T>& x, const Queue& queue) {
  const Device device = x.device();
  TANDEM_CHECK(device == queue.device, "record_use", "the tensor is on ", device,
               ", the queue is one of ", queue.device);
  if (device.is_cpu() || x.storage()->data() == nullptr) return;
  cuda_interface().record_use(device.index(), x.storage()->data(), queue.stream);
}

TANDEM_NAMESPACE_END
