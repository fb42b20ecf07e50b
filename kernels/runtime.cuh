#pragma once
/// What launchers use of each other and of runtime.cu.

#include <cublas_v2.h>

#include "common.cuh"
#include "tandem/cpu/epilogue.hpp"

namespace tandem_kernels {

/// Throws when a cuBLAS call failed.
inline void check_blas(cublasStatus_t status, const char* what) {
  TANDEM_CHECK(status == CUBLAS_STATUS_SUCCESS, "cublas", what, " failed with status ",
               static_cast<int>(status));
}

/// This thread's cuBLAS handle for the queue's device, set to its stream.
cublasHandle_t blas_handle(const Queue& queue);

/// copy.cu: a copy between layouts; n elements of 1, 2, 4 or 8 bytes, each with these bits.
void copy_strided(Queue& queue, const tandem::StridedCopy& copy);
void fill(Queue& queue, void* to, std::int64_t element_bytes, std::uint64_t bits, std::int64_t n);

/// matmul.cu: C = op(A)·op(B) for `batch` matrices a stride apart, C (m, n), for float and double.
template <class T>
void gemm(Queue& queue, tandem::cpu::Trans ta, tandem::cpu::Trans tb, std::int64_t m, std::int64_t n, std::int64_t k,
          const T* a, std::int64_t lda, std::int64_t stride_a, const T* b, std::int64_t ldb, std::int64_t stride_b, T* c,
          std::int64_t ldc, std::int64_t stride_c, std::int64_t batch);

}  // namespace tandem_kernels
