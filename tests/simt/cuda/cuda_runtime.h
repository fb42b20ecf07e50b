#pragma once
/// What kernels/*.cu need from CUDA, on the CPU: found instead of the toolkit's header of this name
/// when the kernels are compiled for the executor (tests/simt/executor.hpp). Only what they use is
/// here, so anything else is an error at compile time.

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

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

#define TANDEM_SHARED(type, name, count)             \
  static const char name##_declared = 0;             \
  type(&name)[count] = *static_cast<type(*)[count]>( \
      simt::shared_array(&name##_declared, #name, sizeof(type) * (count)))
#define TANDEM_SHARED_BYTES(type, name) type* const name = static_cast<type*>(simt::shared_bytes())

// --- barriers and warp operations ---------------------------------------------------------------

using SimtHere = std::source_location;

namespace simt {
enum class WarpOp : std::uint8_t {
  shfl,
  shfl_up,
  shfl_down,
  shfl_xor,
  ballot,
  any,
  all,
  sync,
  together
};

/// What an instruction of a whole warp does, given what each lane has brought, and nothing else. It
/// orders no memory, so ThreadSanitizer must not see it reach into other lanes: declare it
/// SIMT_UNSEEN.
#define SIMT_UNSEEN __attribute__((no_sanitize("thread")))
using Together = void (*)(void* const (&lanes)[32]);
/// Meets all 32 lanes in such an instruction; the last one to come carries it out.
void together(void* mine, Together run, const SimtHere& at);

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
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              const SimtHere& at = SimtHere::current()) {
  return static_cast<unsigned>(simt::meet(simt::WarpOp::ballot, mask, predicate != 0, 0, 32, at));
}
inline int __any_sync(unsigned mask, int predicate, const SimtHere& at = SimtHere::current()) {
  return static_cast<int>(simt::meet(simt::WarpOp::any, mask, predicate != 0, 0, 32, at));
}
inline int __all_sync(unsigned mask, int predicate, const SimtHere& at = SimtHere::current()) {
  return static_cast<int>(simt::meet(simt::WarpOp::all, mask, predicate != 0, 0, 32, at));
}

inline void __threadfence() {}
inline void __threadfence_block() {}

// --- numbers: vectors of 16 bytes, bits, atomics -------------------------------------------------

#define SIMT_VECTORS(type, name, bytes)                               \
  struct alignas(bytes / 2) name##2 {                                 \
    type x, y;                                                        \
  };                                                                  \
  struct alignas(bytes) name##4 {                                     \
    type x, y, z, w;                                                  \
  };                                                                  \
  constexpr name##2 make_##name##2(type x, type y) { return {x, y}; } \
  constexpr name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
SIMT_VECTORS(float, float, 16)
SIMT_VECTORS(int, int, 16)
SIMT_VECTORS(unsigned, uint, 16)
#undef SIMT_VECTORS
struct alignas(16) double2 {
  double x, y;
};
constexpr double2 make_double2(double x, double y) { return {x, y}; }

template <class T>
T __ldg(const T* at) {
  return *at;
}
inline int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
inline unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
inline float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
inline float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / ::sqrt(x); }

/// Relaxed, as CUDA's; they give back what was there.
template <class T>
T atomicExch(T* at, std::type_identity_t<T> value) {
  T before;
  __atomic_exchange(at, &value, &before, __ATOMIC_RELAXED);
  return before;
}
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T> && sizeof(T) >= 4, "atomicCAS takes 32 or 64 bits");
  __atomic_compare_exchange(at, &expected, &value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
namespace simt {
template <class T, class F>
T atomic_update(T* at, const F& f) {
  T before, after;
  __atomic_load(at, &before, __ATOMIC_RELAXED);
  do {
    after = f(before);
  } while (
      !__atomic_compare_exchange(at, &before, &after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}
}  // namespace simt
template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
  return simt::atomic_update(at, [value](T x) { return static_cast<T>(x + value); });
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "CUDA has atomicMax for integers only");
  return simt::atomic_update(at, [value](T x) { return x > value ? x : value; });
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "CUDA has atomicMin for integers only");
  return simt::atomic_update(at, [value](T x) { return x < value ? x : value; });
}

// --- the runtime: devices, memory, streams, launches --------------------------------------------

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorNotReady = 600,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorIllegalState = 401,
};
enum : unsigned {
  cudaStreamDefault = 0,
  cudaStreamNonBlocking = 1,
  cudaEventDefault = 0,
  cudaEventDisableTiming = 2,
  cudaHostAllocDefault = 0,
};
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal = 0,
  cudaStreamCaptureModeThreadLocal = 1,
  cudaStreamCaptureModeRelaxed = 2
};
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone = 0, cudaStreamCaptureStatusActive = 1 };
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct SimtStream;
using cudaStream_t = SimtStream*;
struct SimtEvent;
using cudaEvent_t = SimtEvent*;
struct SimtGraph;
using cudaGraph_t = SimtGraph*;
struct SimtGraphExec;
using cudaGraphExec_t = SimtGraphExec*;

const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
/// Work that is queued on a capturing stream is recorded instead; nothing may wait for it
/// meanwhile.
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
/// Sets this thread's mode and gives back the one before. A relaxed thread may allocate and free
/// while a stream is captured.
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode);
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaMalloc(void** pointer, std::size_t bytes);
cudaError_t cudaFree(void* pointer);
/// Allocated at once, and free again when the stream comes to it.
cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
/// Pinned host memory: copies read and write it when they are carried out, not when they are
/// queued.
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* pointer);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream);

namespace simt {
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define SIMT_LOOKS_INTO_STRUCTURES 1
#endif
#endif
#ifndef SIMT_LOOKS_INTO_STRUCTURES
#define SIMT_LOOKS_INTO_STRUCTURES 0
#endif
/// "" or what is wrong with an argument: a pointer must be null or point into memory of the current
/// device that is allocated, and so must every pointer inside a structure (looked for where the
/// compiler can clear padding: GCC).
std::string argument_problem(std::size_t number, const void* bytes, std::size_t size, bool pointer);
template <class P>
void check_argument(std::string& problem, std::size_t number, const P& argument) {
  if (!problem.empty()) return;
  if constexpr (std::is_pointer_v<P>) {
    if constexpr (!std::is_function_v<std::remove_pointer_t<P>>) {
      problem = argument_problem(number, &argument, sizeof argument, true);
    }
  } else if constexpr (std::is_class_v<P>) {
#if SIMT_LOOKS_INTO_STRUCTURES
    P copy = argument;
    __builtin_clear_padding(&copy);  // which may hold halves of addresses
    problem = argument_problem(number, &copy, sizeof copy, false);
#endif
  }
}
cudaError_t refuse_launch(const void* kernel, const std::string& problem);
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
    std::string problem;
    (simt::check_argument(problem, I, *static_cast<P*>(arguments[I])), ...);
    if (!problem.empty())
      return simt::refuse_launch(reinterpret_cast<const void*>(kernel), problem);
    return simt::queue_launch(reinterpret_cast<const void*>(kernel), grid, block, shared, stream,
                              [kernel, copy = std::tuple<P...>(*static_cast<P*>(arguments[I])...)] {
                                kernel(std::get<I>(copy)...);
                              });
  }
  (std::index_sequence_for<P...>());
}

#include "tensor_cores.hpp"
