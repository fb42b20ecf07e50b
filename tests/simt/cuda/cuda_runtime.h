#pragma once
/// What kernels/*.cu need from CUDA, on the CPU: found instead of the toolkit's header of this name when
/// the kernels are compiled for the executor (tests/simt/executor.hpp). Only what they use is here, so
/// anything else is an error at compile time.

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3() = default;
  constexpr dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

// --- shared memory: poisoned with NaN and fenced before every block -----------------------------

namespace simt {
/// The block's array for this declaration.
void* shared_array(const void* declaration, const char* name, std::size_t bytes);
/// The bytes that the launch asked for.
void* shared_bytes();
}  // namespace simt

#define TANDEM_SHARED(type, name, count)  \
  static const char name##_declared = 0;  \
  type(&name)[count] = *static_cast<type(*)[count]>( \
      simt::shared_array(&name##_declared, #name, sizeof(type) * (count)))
#define TANDEM_SHARED_BYTES(type, name) type* const name = static_cast<type*>(simt::shared_bytes())

// --- barriers and warp operations -----------------------------------------------------------------

using SimtHere = std::source_location;

namespace simt {
enum class WarpOp : std::uint8_t { shfl, shfl_up, shfl_down, shfl_xor, ballot, any, all, sync };

/// Waits for every thread of the block.
void barrier(const SimtHere& at);
/// Meets the lanes of `mask`; gives back the bits that belong to this lane.
std::uint64_t meet(WarpOp op, unsigned mask, std::uint64_t bits, int operand, int width,
                   const SimtHere& at);

template <class T>
T exchange(WarpOp op, unsigned mask, T value, int operand, int width, const SimtHere& at) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8, "warps exchange numbers");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = meet(op, mask, bits, operand, width, at);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
}  // namespace simt

inline void __syncthreads(const SimtHere& at = SimtHere::current()) { simt::barrier(at); }
inline void __syncwarp(unsigned mask = 0xffffffffu, const SimtHere& at = SimtHere::current()) {
  simt::meet(simt::WarpOp::sync, mask, 0, 0, 32, at);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              const SimtHere& at = SimtHere::current()) {
  return simt::exchange(simt::WarpOp::shfl, mask, value, lane, width, at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const SimtHere& at = SimtHere::current()) {
  return simt::exchange(simt::WarpOp::shfl_up, mask, value, static_cast<int>(delta), width, at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const SimtHere& at = SimtHere::current()) {
  return simt::exchange(simt::WarpOp::shfl_down, mask, value, static_cast<int>(delta), width, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  const SimtHere& at = SimtHere::current()) {
  return simt::exchange(simt::WarpOp::shfl_xor, mask, value, lanes, width, at);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, const SimtHere& at = SimtHere::current()) {
  return static_cast<unsigned>(simt::meet(simt::WarpOp::ballot, mask, predicate != 0, 0, 32, at));
}
inline int __any_sync(unsigned mask, int predicate, const SimtHere& at = SimtHere::current()) {
  return static_cast<int>(simt::meet(simt::WarpOp::any, mask, predicate != 0, 0, 32, at));
}
inline int __all_sync(unsigned mask, int predicate, const SimtHere& at = SimtHere::current()) {
  return static_cast<int>(simt::meet(simt::WarpOp::all, mask, predicate != 0, 0, 32, at));
}

// --- the runtime: devices, memory, streams, launches ----------------------------------------------

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct SimtStream;
using cudaStream_t = SimtStream*;

const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaMalloc(void** pointer, std::size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream);

namespace simt {
cudaError_t allow_shared(const void* kernel, int bytes);
/// Checks the launch and queues it.
cudaError_t queue_launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared,
                         cudaStream_t stream, std::function<void()> thread);
}  // namespace simt

template <class F>
cudaError_t cudaFuncSetAttribute(F* kernel, cudaFuncAttribute, int bytes) {
  return simt::allow_shared(reinterpret_cast<const void*>(kernel), bytes);
}
/// The arguments are copied now, as CUDA does.
template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** arguments,
                             std::size_t shared, cudaStream_t stream) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return simt::queue_launch(
        reinterpret_cast<const void*>(kernel), grid, block, shared, stream,
        [kernel, copy = std::tuple<P...>(*static_cast<P*>(arguments[I])...)] {
          kernel(std::get<I>(copy)...);
        });
  }(std::index_sequence_for<P...>());
}
