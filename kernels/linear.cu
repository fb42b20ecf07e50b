/// linear — C = op(A)·op(B) + bias by cuBLASLt (matmul.cu), then, if there is anything else to do,
/// one pass over C:
///   pre_activation[i, j] = c;  c = act(c);  c += residual[i, j]
/// and dz = dy·act′(z) for its backward. Where cuBLASLt does not take the bias the pass adds it.
///
/// Under Precision::bfloat16 both factors are rounded first, each in one pass that reads 4 bytes
/// and writes 2 for each element; their rows then begin at multiples of 16 bytes, as tensor cores
/// want. All passes are bound by memory.

#include "linear.cuh"
#include "map.cuh"

namespace tandem_kernels {

using tandem::Precision;

/// A factor of a product, stored as (rows, columns), rounded as long as what is queued needs it.
struct LowFactor {
  LowFactor(Queue& queue, const float* from, std::int64_t from_ld, std::int64_t rows,
            std::int64_t columns)
      : ld((columns + 7) / 8 * 8), memory(queue, rows * ld) {
    round_rows(queue, memory.data(), ld, from, from_ld, rows, columns);
  }
  std::int64_t ld;
  Scratch<bfloat16> memory;
};

template <class T>
void linear_product(Queue& queue, Precision precision, Trans ta, Trans tb, std::int64_t m,
                    std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, const T* b,
                    std::int64_t ldb, T* c, std::int64_t ldc, const Epilogue<T>& epilogue) {
  const auto product = [&] {  // whether C has the bias
    if constexpr (std::is_same_v<T, float>) {
      if (precision == Precision::bfloat16) {
        const bool turn_a = ta == Trans::yes, turn_b = tb == Trans::yes;
        const LowFactor left(queue, a, lda, turn_a ? k : m, turn_a ? m : k),
            right(queue, b, ldb, turn_b ? n : k, turn_b ? k : n);
        return gemm<bfloat16, float>(queue, precision, ta, tb, m, n, k, left.memory.data(), left.ld,
                                     0, right.memory.data(), right.ld, 0, c, ldc, 0, 1,
                                     epilogue.bias);
      }
    }
    return gemm<T, T>(queue, precision, ta, tb, m, n, k, a, lda, 0, b, ldb, 0, c, ldc, 0, 1,
                      epilogue.bias);
  };
  finish_linear(queue, m, n, c, ldc, epilogue, product());
}
TANDEM_KERNEL(linear_product, float, double);

template <class T>
void activation_backward(Queue& queue, Activation activation, const T* z, const T* dy, T* dz,
                         std::int64_t n) {
  tandem::formula::with_activation_gradient(activation, [&]<class F>(const F& gradient) {
    map_dense<F, T, 2>(queue, gradient, dz, {dy, z}, n);
  });
}
TANDEM_KERNEL(activation_backward, float, double);

}  // namespace tandem_kernels
