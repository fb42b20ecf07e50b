/// matmul — C = op(A)·op(B) for `batch` matrices a stride apart, through cuBLAS.
/// cuBLAS is column-major: a row-major C = A·B is its Cᵀ = Bᵀ·Aᵀ, so the operands change places and
/// no matrix is transposed. float means float: the math mode forbids TF32.

#include "runtime.cuh"

namespace tandem_kernels {

using tandem::cpu::Trans;

template <class T>
void gemm(Queue& queue, Trans ta, Trans tb, std::int64_t m, std::int64_t n, std::int64_t k,
          const T* a, std::int64_t lda, std::int64_t stride_a, const T* b, std::int64_t ldb,
          std::int64_t stride_b, T* c, std::int64_t ldc, std::int64_t stride_c,
          std::int64_t batch) {
  if (m == 0 || n == 0 || batch == 0) return;
  if (k == 0) {
    for (std::int64_t i = 0; i < batch * m; ++i)
      fill(queue, c + i / m * stride_c + i % m * ldc, sizeof(T), 0, n);
    return;
  }
  const tandem::cuda::DeviceScope scope(queue.device.index());
  const cublasHandle_t handle = blas_handle(queue);
  const auto operation = [](Trans t) { return t == Trans::yes ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const auto leading = [](std::int64_t ld) { return ld > 0 ? ld : 1; };
  const T alpha = 1, beta = 0;
  cublasStatus_t status;
  if constexpr (sizeof(T) == sizeof(float)) {
    status = cublasSgemmStridedBatched_64(handle, operation(tb), operation(ta), n, m, k, &alpha, b,
                                          leading(ldb), stride_b, a, leading(lda), stride_a, &beta,
                                          c, leading(ldc), stride_c, batch);
  } else {
    status = cublasDgemmStridedBatched_64(handle, operation(tb), operation(ta), n, m, k, &alpha, b,
                                          leading(ldb), stride_b, a, leading(lda), stride_a, &beta,
                                          c, leading(ldc), stride_c, batch);
  }
  check_blas(status, "a matrix product");
}
template void gemm<float>(Queue&, Trans, Trans, std::int64_t, std::int64_t, std::int64_t,
                          const float*, std::int64_t, std::int64_t, const float*, std::int64_t,
                          std::int64_t, float*, std::int64_t, std::int64_t, std::int64_t);
template void gemm<double>(Queue&, Trans, Trans, std::int64_t, std::int64_t, std::int64_t,
                           const double*, std::int64_t, std::int64_t, const double*, std::int64_t,
                           std::int64_t, double*, std::int64_t, std::int64_t, std::int64_t);

template <class T>
void matmul(Queue& queue, Trans ta, Trans tb, std::int64_t m, std::int64_t n, std::int64_t k,
            const T* a, std::int64_t lda, std::int64_t stride_a, const T* b, std::int64_t ldb,
            std::int64_t stride_b, T* c, std::int64_t ldc, std::int64_t stride_c,
            std::int64_t batch) {
  gemm(queue, ta, tb, m, n, k, a, lda, stride_a, b, ldb, stride_b, c, ldc, stride_c, batch);
}
TANDEM_KERNEL(matmul, float, double);

}  // namespace tandem_kernels
