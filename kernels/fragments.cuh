#pragma once
/// Tensor cores and asynchronous copies: one function per PTX instruction (sm_80 and later).
///
/// A warp holds a small matrix as a fragment: each lane has some of its elements, two bfloat16 in a
/// 32-bit register, the first one in the lower half. With g = lane/4 and t = lane%4, those of
/// mma_m16n8k16 are [PTX ISA, "Matrix Fragments for mma.m16n8k16"]
///   A (16 × 16), element i of 8:  row g + 8·(i/2 % 2), column 2t + i%2 + 8·(i/4)
///   B (16 × 8),  element i of 4:  row 2t + i%2 + 8·(i/2), column g
///   C (16 × 8),  element i of 4:  row g + 8·(i/2), column 2t + i%2      (float)
/// so that two C beside each other, rounded, are an A: a product may go straight into the next one.
/// nvcuda::wmma, whose layout is not specified, would have to go through memory.
///
/// Without nvcc the functions are those of whoever runs the kernels, by the same names: lanes that
/// exchange numbers (tests/simt/cuda/tensor_cores.hpp).

#include "common.cuh"

namespace tandem_kernels {

#if defined(__CUDACC__)

__device__ inline unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

/// C += A·B of three fragments: products of bfloat16 are exact, sums are float.
__device__ inline void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Four 8 × 8 matrices of bfloat16 from shared memory: lane 8m + r names row r of matrix m, 16
/// bytes whose address is a multiple of 16. to[m] of a lane is then row g, columns 2t and 2t + 1;
/// with _trans, column g, rows 2t and 2t + 1.
__device__ inline void ldmatrix_x4(std::uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix_x4_trans(std::uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

/// Starts to copy 16 bytes, at multiples of 16, from global to shared memory; belongs to the group
/// that the next commit closes.
__device__ inline void cp_async_16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
               :
               : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global))
               : "memory");
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" : : : "memory"); }
/// Waits until all of this thread's groups but the `pending` newest have arrived. Other threads see
/// them after a barrier.
template <int pending>
__device__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" : : "n"(pending) : "memory");
}

#else

using simt::cp_async_16;
using simt::cp_async_commit;
using simt::cp_async_wait;
using simt::ldmatrix_x4;
using simt::ldmatrix_x4_trans;
using simt::mma_m16n8k16;

#endif

/// Two numbers rounded to bfloat16, to nearest, ties to even: half of a register of a fragment
/// each.
__device__ inline std::uint32_t rounded_pair(float low, float high) {
#if defined(__CUDACC__)
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return tandem::bfloat16::round_bits(low) |
         static_cast<std::uint32_t>(tandem::bfloat16::round_bits(high)) << 16;
#endif
}

}  // namespace tandem_kernels
