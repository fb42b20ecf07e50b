#pragma once
/// Numbers that are rounded one by one.

#include "common.cuh"

namespace tandem_kernels {

/// A number whose products and sums round one by one: nvcc makes no fma of them. So what is
/// made of such numbers has the bits of the CPU's portable instruction set.
template <class T>
struct Rounded {
  T v;
  __device__ Rounded() {}
  __device__ Rounded(T x) : v(x) {}
  friend __device__ Rounded operator*(Rounded a, Rounded b) {
#if defined(__CUDA_ARCH__)
    if constexpr (sizeof(T) == 4) {
      return __fmul_rn(a.v, b.v);
    } else {
      return __dmul_rn(a.v, b.v);
    }
#else
    return a.v * b.v;
#endif
  }
  friend __device__ Rounded operator+(Rounded a, Rounded b) {
#if defined(__CUDA_ARCH__)
    if constexpr (sizeof(T) == 4) {
      return __fadd_rn(a.v, b.v);
    } else {
      return __dadd_rn(a.v, b.v);
    }
#else
    return a.v + b.v;
#endif
  }
  friend __device__ Rounded operator-(Rounded a, Rounded b) { return a + Rounded(-b.v); }
};

}  // namespace tandem_kernels
