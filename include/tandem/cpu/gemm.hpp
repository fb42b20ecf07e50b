#pragma once
/// gemm — C = alpha·op(A)·op(B) + beta·C with an epilogue (bias, activation, residual), row-major.
///
///   op(A) (m, k), op(B) (k, n), C (m, n); `ld…` is the distance between rows as stored
///
/// for (float, float), (double, double), (bfloat16, float) and (Rounded, float), floats that are
/// rounded to bfloat16: products of bfloat16 are added up in float. As in BLAS, beta = 0 never
/// reads C, alpha = 0 never reads A and B, and k = 0 gives beta·C.
/// The bits of the result do not depend on the number of threads.
///
///   float x[2 * 3] = {1, 2, 3}, w[4 * 3] = {1, 1, 1}, y[2 * 4];   // y = x·wᵀ, as in Linear
///   gemm<float, float>(Trans::no, Trans::yes, 2, 4, 3, 1.0F, x, 3, w, 3, 0.0F, y, 4);
///   y[0];                                                         // → 6
///
/// How it works: gemm_blocking.hpp (loops, caches, threads), gemm_pack.hpp (packing),
/// gemm_micro_body.hpp (the kernels), gemm_kernels_*.hpp (their instruction sets).

#include "tandem/cpu/gemm_blocking.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

namespace gemm_detail {

/// Throws Error unless the sizes make sense together.
inline void check_sizes(const char* op, Trans ta, Trans tb, std::int64_t m, std::int64_t n,
                        std::int64_t k, std::int64_t lda, std::int64_t ldb, std::int64_t ldc) {
  TANDEM_CHECK(m >= 0 && n >= 0 && k >= 0, op, "sizes must not be negative, got m = ", m,
               ", n = ", n, ", k = ", k);
  const std::int64_t a_width = ta == Trans::no ? k : m, b_width = tb == Trans::no ? n : k;
  TANDEM_CHECK(lda >= a_width, op, "rows of a are ", a_width, " long, got lda = ", lda);
  TANDEM_CHECK(ldb >= b_width, op, "rows of b are ", b_width, " long, got ldb = ", ldb);
  TANDEM_CHECK(ldc >= n, op, "rows of c are ", n, " long, got ldc = ", ldc);
}

/// The time of a product on one thread, in multiplications and additions. Reading the other operand
/// takes as long for one or two rows or columns as for three.
inline double work(std::int64_t m, std::int64_t n, std::int64_t k) {
  return 2.0 * static_cast<double>(m > 3 ? m : 3) * static_cast<double>(n > 3 ? n : 3) *
         static_cast<double>(k);
}

/// One product of matrices as they are stored, with the instruction set in use, on so many threads.
template <class In, class Out>
void multiply(Trans ta, Trans tb, std::int64_t m, std::int64_t n, std::int64_t k, Out alpha,
              const In* a, std::int64_t lda, const In* b, std::int64_t ldb, Out beta, Out* c,
              std::int64_t ldc, const Epilogue<Out>& epilogue, int threads) {
  run<In, Out>({.kernels = kernels<In, Out>(isa()),
                .trans_a = ta,
                .trans_b = tb,
                .m = m,
                .n = n,
                .k = k,
                .alpha = alpha,
                .a = a,
                .lda = lda,
                .b = b,
                .ldb = ldb,
                .beta = beta,
                .c = c,
                .ldc = ldc,
                .epilogue = epilogue,
                .threads = threads});
}

}  // namespace gemm_detail

/// C = alpha·op(A)·op(B) + beta·C, then the epilogue, on up to num_threads() threads.
/// Throws Error if a size is negative or a leading dimension is shorter than its row.
template <class In, class Out>
void gemm(Trans ta, Trans tb, std::int64_t m, std::int64_t n, std::int64_t k, Out alpha,
          const In* a, std::int64_t lda, const In* b, std::int64_t ldb, Out beta, Out* c,
          std::int64_t ldc, const Epilogue<Out>& epilogue = {}) {
  gemm_detail::check_sizes("gemm", ta, tb, m, n, k, lda, ldb, ldc);
  gemm_detail::multiply<In, Out>(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, epilogue,
                                 gemm_detail::useful_threads(gemm_detail::work(m, n, k)));
}

/// gemm on the calling thread alone, for use inside a parallel region and for small products. Gives
/// the same bits as gemm.
template <class In, class Out>
void gemm_serial(Trans ta, Trans tb, std::int64_t m, std::int64_t n, std::int64_t k, Out alpha,
                 const In* a, std::int64_t lda, const In* b, std::int64_t ldb, Out beta, Out* c,
                 std::int64_t ldc, const Epilogue<Out>& epilogue = {}) {
  gemm_detail::check_sizes("gemm_serial", ta, tb, m, n, k, lda, ldb, ldc);
  gemm_detail::multiply<In, Out>(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, epilogue, 1);
}

/// `batch` products whose matrices are stride_a, stride_b and stride_c elements apart (0 for a or
/// b: the same matrix in each), on up to num_threads() threads.
template <class In, class Out>
void gemm_batched(Trans ta, Trans tb, std::int64_t m, std::int64_t n, std::int64_t k, Out alpha,
                  const In* a, std::int64_t lda, std::int64_t stride_a, const In* b,
                  std::int64_t ldb, std::int64_t stride_b, Out beta, Out* c, std::int64_t ldc,
                  std::int64_t stride_c, std::int64_t batch) {
  gemm_detail::check_sizes("gemm_batched", ta, tb, m, n, k, lda, ldb, ldc);
  TANDEM_CHECK(batch >= 0, "gemm_batched", "the batch must not be negative, got ", batch);
  const int threads =
      gemm_detail::useful_threads(gemm_detail::work(m, n, k) * static_cast<double>(batch));
  const auto product = [&](std::int64_t i, int threads_each) {
    gemm_detail::multiply<In, Out>(ta, tb, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b,
                                   ldb, beta, c + i * stride_c, ldc, {}, threads_each);
  };
  if (batch < 4 * threads) {  // too few to share out evenly: all threads on one after the other
    const int each = gemm_detail::useful_threads(gemm_detail::work(m, n, k));
    if (each > 1 || threads == 1) {
      for (std::int64_t i = 0; i < batch; ++i) product(i, each);
      return;
    }
  }
  gemm_detail::share_out(threads, batch, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) product(i, 1);
  });
}

/// op(B) packed once for many products: for weights that do not change. It keeps the instruction
/// set that was in use when it was packed.
///
///   PackedMatrix<float> packed(Trans::yes, n, k, w, k);  // w as a Linear layer stores it
///   gemm_packed(Trans::no, m, 1.0F, x, k, packed, 0.0F, y, n);
template <class In, class Out = std::conditional_t<std::is_same_v<In, bfloat16>, float, In>>
class PackedMatrix {
 public:
  PackedMatrix(Trans tb, std::int64_t n, std::int64_t k, const In* b, std::int64_t ldb)
      : kernels_(&gemm_detail::kernels<In, Out>(isa())), n_(n), k_(k) {
    gemm_detail::check_sizes("PackedMatrix", Trans::no, tb, 0, n, k, k, ldb, n);
    const auto& ks = *kernels_;
    const gemm_detail::KBlocks blocks(k, ks.k_block);
    const auto source = gemm_detail::source_of_b(ks, tb, n, b, ldb);
    const auto bytes = [&](std::int64_t length) {
      return gemm_detail::round_up(length, ks.k_multiple) / ks.k_unit * ks.element_size * ks.cols;
    };
    std::byte* packed = memory_.get_exactly(bytes(k) * source.panels.count);
    const auto pack_items = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t block = item / source.panels.count, panel = item % source.panels.count;
        const std::int64_t length = blocks.size(block);
        source(panel, panel + 1, blocks.begin(block), length, ks.k_unit,
               gemm_detail::round_up(length, ks.k_multiple) / ks.k_unit, ks.cols * ks.element_size,
               packed + bytes(blocks.begin(block)) * source.panels.count + bytes(length) * panel);
      }
    };
    parallel_for(blocks.count * source.panels.count, 8, pack_items);
    data_ = packed;
  }

  std::int64_t n() const { return n_; }
  std::int64_t k() const { return k_; }
  const std::byte* data() const { return data_; }
  const gemm_detail::Kernels<In, Out>& kernels() const { return *kernels_; }

 private:
  const gemm_detail::Kernels<In, Out>* kernels_;
  std::int64_t n_, k_;
  gemm_detail::Scratch memory_;
  const std::byte* data_ = nullptr;
};

/// C = alpha·op(A)·B + beta·C, then the epilogue, with B packed before.
template <class In, class Out>
void gemm_packed(Trans ta, std::int64_t m, Out alpha, const In* a, std::int64_t lda,
                 const PackedMatrix<In, Out>& b, Out beta, Out* c, std::int64_t ldc,
                 const Epilogue<Out>& epilogue = {}) {
  gemm_detail::check_sizes("gemm_packed", ta, Trans::no, m, b.n(), b.k(), lda, b.n(), ldc);
  gemm_detail::run<In, Out>(
      {.kernels = b.kernels(),
       .trans_a = ta,
       .trans_b = Trans::yes,
       .m = m,
       .n = b.n(),
       .k = b.k(),
       .alpha = alpha,
       .a = a,
       .lda = lda,
       .b = nullptr,
       .ldb = b.k(),
       .beta = beta,
       .c = c,
       .ldc = ldc,
       .epilogue = epilogue,
       .threads = gemm_detail::useful_threads(gemm_detail::work(m, b.n(), b.k())),
       .packed_b = b.data()});
}

}  // namespace cpu
TANDEM_NAMESPACE_END
