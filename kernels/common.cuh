#pragma once
/// What the kernels share: how they register, shared memory, sums of warps and blocks in a fixed
/// order.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tandem/cuda/launch.hpp"
#include "tandem/tensor/dtype.hpp"

/// A shared array of a fixed size, TANDEM_SHARED(float, partial, 32), and the launch's shared bytes
/// as an array, TANDEM_SHARED_BYTES(float, tile). (Whoever runs kernels elsewhere defines them
/// beforehand.)
#ifndef TANDEM_SHARED
#define TANDEM_SHARED(type, name, count) __shared__ type name[count]
#define TANDEM_SHARED_BYTES(type, name)                         \
  extern __shared__ __align__(16) unsigned char name##_bytes[]; \
  type* const name = reinterpret_cast<type*>(name##_bytes)
#endif

/// Before a loop that is to be unrolled, so that arrays which it indexes can lie in registers.
#if defined(__CUDACC__)
#define TANDEM_UNROLLED _Pragma("unroll")
#else
#define TANDEM_UNROLLED
#endif

/// Makes name<T>, for each type T that follows, the GPU's function of the slot of this name.
#define TANDEM_KERNEL(name, ...)                                                   \
  [[maybe_unused]] const bool name##_is_registered = []<class... T>(Types<T...>) { \
    return (tandem::detail::register_kernel<&name<T>>(#name) && ...);              \
  }(Types<__VA_ARGS__>())

namespace tandem_kernels {

using tandem::Queue;
using tandem::cuda::blocks_for;
using tandem::cuda::launch;
using tandem::cuda::narrow_below;

template <class... T>
struct Types {};

/// What stands for an element that an id asks for and that does not exist: NaN, or 0 for integers.
template <class T>
__device__ T missing() {
  if constexpr (std::is_integral_v<T>) {
    return T(0);
  } else {
    return T(tandem::detail::compute_t<T>(NAN));
  }
}

/// W neighbours that are read and written together; 16 bytes where they are aligned to that.
template <class T, int W>
struct alignas(sizeof(T) * W) Pack {
  T value[W];
};
/// How many elements of T a pack of 16 bytes has.
template <class T>
inline constexpr int pack_size = 16 / static_cast<int>(sizeof(T));

/// True when the pointers (or null) can be read in packs of 16 bytes.
template <class... P>
bool aligned(const P*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

/// The largest and the sum over a warp, the same in every lane; a butterfly, so the order is fixed.
/// The largest is NaN if one is.
template <class T>
__device__ T warp_max(T value) {
  for (int step = 16; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(0xffffffffu, value, step);
    value = other > value || other != other ? other : value;
  }
  return value;
}
template <class T>
__device__ T warp_sum(T value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

/// The sum over a block of a multiple of 32 threads in x, the same in every thread. `partial` holds
/// 32 values and may be used again after the call.
template <class T>
__device__ T block_sum(T value, T* partial) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  value = warp_sum(value);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  T total = 0;
  for (int w = 0; w < warps; ++w) total += partial[w];
  __syncthreads();
  return total;
}
template <class T>
__device__ T block_max(T value, T* partial) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  value = warp_max(value);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  T top = partial[0];
  for (int w = 1; w < warps; ++w)
    top = partial[w] > top || partial[w] != partial[w] ? partial[w] : top;
  __syncthreads();
  return top;
}

/// Memory of a launcher that is used by what it queues, and reused in the order of the queue.
template <class T>
class Scratch {
 public:
  Scratch(const Queue& queue, std::int64_t count)
      : device_(queue.device.index()),
        bytes_(count * static_cast<std::int64_t>(sizeof(T))),
        data_(bytes_ > 0 ? allocate(queue) : nullptr) {}
  ~Scratch() {
    if (data_ != nullptr) tandem::cuda_interface().deallocate(device_, data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return data_; }

 private:
  T* allocate(const Queue& queue) const {
    const tandem::QueueScope scope(queue);
    return static_cast<T*>(tandem::cuda_interface().allocate(device_, bytes_));
  }
  int device_;
  std::int64_t bytes_;
  T* data_;
};

}  // namespace tandem_kernels
