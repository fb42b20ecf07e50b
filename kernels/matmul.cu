/// matmul — C = alpha·op(A)·op(B) + beta·C through cuBLAS.
/// cuBLAS is column-major: a row-major C = A·B is its Cᵀ = Bᵀ·Aᵀ, so the operands change places and no
/// matrix is transposed. float means float: the math mode forbids TF32.

#include "runtime.cuh"

namespace tandem_kernels {

using tandem::cuda::Stream;

template <class T>
void gemm(Stream stream, bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
          std::int64_t k, T alpha, const T* a, std::int64_t lda, std::int64_t stride_a, const T* b,
          std::int64_t ldb, std::int64_t stride_b, T beta, T* c, std::int64_t ldc, std::int64_t stride_c,
          std::int64_t batch) {
  if (m == 0 || n == 0 || batch == 0) return;
  const tandem::cuda::DeviceScope scope(stream.device);
  const cublasHandle_t handle = blas_handle(stream);
  const cublasOperation_t op_a = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                          op_b = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasStatus_t status;
  if constexpr (sizeof(T) == sizeof(float)) {
    status = cublasSgemmStridedBatched_64(handle, op_b, op_a, n, m, k, &alpha, b, ldb, stride_b, a, lda,
                                          stride_a, &beta, c, ldc, stride_c, batch);
  } else {
    status = cublasDgemmStridedBatched_64(handle, op_b, op_a, n, m, k, &alpha, b, ldb, stride_b, a, lda,
                                          stride_a, &beta, c, ldc, stride_c, batch);
  }
  check_blas(status, "a matrix product");
}

template void gemm<float>(Stream, bool, bool, std::int64_t, std::int64_t, std::int64_t, float,
                          const float*, std::int64_t, std::int64_t, const float*, std::int64_t,
                          std::int64_t, float, float*, std::int64_t, std::int64_t, std::int64_t);
template void gemm<double>(Stream, bool, bool, std::int64_t, std::int64_t, std::int64_t, double,
                           const double*, std::int64_t, std::int64_t, const double*, std::int64_t,
                           std::int64_t, double, double*, std::int64_t, std::int64_t, std::int64_t);

}  // namespace tandem_kernels
