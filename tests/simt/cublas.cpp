#include <string>

#include "cuda/cublas_v2.h"
#include "runtime.hpp"

struct SimtBlas {
  cudaStream_t stream = nullptr;
};

namespace {

/// C = alpha·op(A)·op(B) + beta·C, all matrices by columns: element (i, j) lies at i + j·ld. As
/// cuBLAS, C is not read when beta is 0.
template <class T>
cublasStatus_t gemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                    std::int64_t m, std::int64_t n, std::int64_t k, const T* alpha_at, const T* a,
                    std::int64_t lda, std::int64_t stride_a, const T* b, std::int64_t ldb,
                    std::int64_t stride_b, const T* beta_at, T* c, std::int64_t ldc,
                    std::int64_t stride_c, std::int64_t batch) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const auto at_least = [](std::int64_t ld, std::int64_t rows) {
    return ld >= (rows > 1 ? rows : 1);
  };
  const bool turn_a = op_a == CUBLAS_OP_T, turn_b = op_b == CUBLAS_OP_T;
  if (m < 0 || n < 0 || k < 0 || batch < 0 || !at_least(lda, turn_a ? k : m) ||
      !at_least(ldb, turn_b ? n : k) || !at_least(ldc, m)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  // The results of a batch must not overlap.
  if (batch > 1 && (stride_c < 0 ? -stride_c : stride_c) < (n > 0 ? (n - 1) * ldc + m : 0)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const T alpha = *alpha_at, beta = *beta_at;  // read at the call
  const cudaError_t status = simt::queue_work(handle->stream, "a matrix product", [=] {
    for (std::int64_t p = 0; p < batch; ++p) {
      const T *first = a + p * stride_a, *second = b + p * stride_b;
      T* const to = c + p * stride_c;
      for (std::int64_t j = 0; j < n; ++j) {
        for (std::int64_t i = 0; i < m; ++i) {
          T sum = 0;
          for (std::int64_t l = 0; l < k; ++l) {
            sum += first[turn_a ? l + i * lda : i + l * lda] *
                   second[turn_b ? j + l * ldb : l + j * ldb];
          }
          T& element = to[i + j * ldc];
          element = beta == T(0) ? alpha * sum : alpha * sum + beta * element;
        }
      }
    }
  });
  return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new SimtBlas;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t) {
  return handle != nullptr ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSgemmStridedBatched_64(cublasHandle_t handle, cublasOperation_t op_a,
                                            cublasOperation_t op_b, std::int64_t m, std::int64_t n,
                                            std::int64_t k, const float* alpha, const float* a,
                                            std::int64_t lda, std::int64_t stride_a, const float* b,
                                            std::int64_t ldb, std::int64_t stride_b,
                                            const float* beta, float* c, std::int64_t ldc,
                                            std::int64_t stride_c, std::int64_t batch) {
  return gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc,
              stride_c, batch);
}
cublasStatus_t cublasDgemmStridedBatched_64(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t m,
    std::int64_t n, std::int64_t k, const double* alpha, const double* a, std::int64_t lda,
    std::int64_t stride_a, const double* b, std::int64_t ldb, std::int64_t stride_b,
    const double* beta, double* c, std::int64_t ldc, std::int64_t stride_c, std::int64_t batch) {
  return gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc,
              stride_c, batch);
}
