#pragma once
/// What the kernels share: block sums in a fixed order, and grid arithmetic.

#include <cstdint>

#include "tandem/cuda/launch.hpp"

/// A shared array of a fixed size, TANDEM_SHARED(float, partial, 32), and the launch's shared bytes as an
/// array, TANDEM_SHARED_BYTES(float, tile). (Whoever runs kernels elsewhere defines them beforehand.)
#ifndef TANDEM_SHARED
#define TANDEM_SHARED(type, name, count) __shared__ type name[count]
#define TANDEM_SHARED_BYTES(type, name)                  \
  extern __shared__ __align__(16) unsigned char name##_bytes[]; \
  type* const name = reinterpret_cast<type*>(name##_bytes)
#endif

namespace tandem_kernels {

/// ⌈n / size⌉, capped: kernels with a grid-stride loop need no more blocks than keep a GPU busy.
inline unsigned blocks_for(std::int64_t n, int size, std::int64_t most = 65535) {
  const std::int64_t blocks = (n + size - 1) / size;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

/// The largest and the sum over a warp, the same in every lane; a butterfly, so the order is fixed.
template <class T>
__device__ T warp_max(T value) {
  for (int step = 16; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(0xffffffffu, value, step);
    value = other > value ? other : value;
  }
  return value;
}
template <class T>
__device__ T warp_sum(T value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

/// The sum over a block of a multiple of 32 threads, the same in every thread. `partial` holds 32 values
/// and may be used again after the call.
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
  for (int w = 1; w < warps; ++w) top = partial[w] > top ? partial[w] : top;
  __syncthreads();
  return top;
}

}  // namespace tandem_kernels
