/// linear_bf16 — C = op(A)·op(B) + bias of bfloat16 factors by cuBLASLt (matmul.cu), products
/// exact, sums float, then linear's pass over C (linear.cuh); and x rounded to bfloat16, which
/// reads 4 bytes and writes 2 for each element.

#include "linear.cuh"

namespace tandem_kernels {

template <class T>
void linear_bf16_product(Queue& queue, Trans ta, Trans tb, std::int64_t m, std::int64_t n,
                         std::int64_t k, const bfloat16* a, std::int64_t lda, const bfloat16* b,
                         std::int64_t ldb, T* c, std::int64_t ldc, const Epilogue<T>& epilogue) {
  const bool biased = gemm<bfloat16, T>(queue, tandem::Precision::bfloat16, ta, tb, m, n, k, a, lda,
                                        0, b, ldb, 0, c, ldc, 0, 1, epilogue.bias);
  finish_linear(queue, m, n, c, ldc, epilogue, biased);
}
TANDEM_KERNEL(linear_bf16_product, float);

template <class T>
void round_to_bfloat16(Queue& queue, bfloat16* to, const T* x, std::int64_t n) {
  round_rows(queue, to, n, x, n, 1, n);
}
TANDEM_KERNEL(round_to_bfloat16, float);

}  // namespace tandem_kernels
