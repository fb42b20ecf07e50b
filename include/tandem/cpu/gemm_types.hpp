#pragma once
/// What the parts of the matrix product share: the contract
/// between the blocking (gemm_blocking.hpp) and the micro kernels (gemm_kernels_*.hpp).

#include <cstdint>
#include <type_traits>
#include <utility>

#include "tandem/cpu/epilogue.hpp"
#include "tandem/cpu/vmath.hpp"
#include "tandem/tensor/config.hpp"

#if defined(__clang__)
#define TANDEM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TANDEM_UNROLL _Pragma("GCC unroll 16")
#endif

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// A float that a product rounds to bfloat16, on its way into the packed panels: gemm<Rounded,
/// float> multiplies float arrays at bfloat16's speed and precision, without a copy of them. Its
/// sums are float.
///   gemm<Rounded, float>(Trans::no, Trans::yes, m, n, k, 1.0F, rounded(x), k, rounded(w), k, 0.0F,
///                        y, n);
struct Rounded {
  float value;
};
inline const Rounded* rounded(const float* x) { return reinterpret_cast<const Rounded*>(x); }

namespace gemm_detail {

inline constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) {
  return ceil_div(a, b) * b;
}

/// One micro tile: C (rows × cols) = alpha·A·B + beta·C with `steps` outer products. Strides count
/// packed elements; see Kernels.
template <class Out>
struct MicroArgs {
  std::int64_t steps;
  const void* a;
  std::int64_t a_row, a_step;  // from one row, one step to the next
  const void* b;
  std::int64_t b_step;
  Out* c;
  std::int64_t ldc, rows, cols;  // 1 … Kernels::rows, 1 … Kernels::cols exist in C
  Out alpha, beta;               // beta = 0: C is not read
  // What comes after this tile's B: each step asks for one address and goes on by prefetch_step
  // bytes, so that the next panel arrives in the second-level cache while this one is used.
  const char* prefetch;
  std::int64_t prefetch_step;
};

/// rows × cols dot products of length k between rows of A and rows of B (cols ≤ 4).
template <class In, class Out>
struct DotArgs {
  std::int64_t k;
  const In* a;
  std::int64_t lda;
  const In* b;
  std::int64_t ldb;
  Out* c;
  std::int64_t ldc, cols;
  Out alpha, beta;
};

inline constexpr int max_micro_rows = 32;
inline constexpr int max_dot_rows = 6;
inline constexpr int dot_cols = 4;

/// Packs a panel of `width` rows of A (or columns of B), `count` of which exist, and k of the inner
/// dimension; missing ones become zeros. `ld` separates rows of the source as it is stored.
template <class In>
using PackFunction = void (*)(const In* source, std::int64_t ld, std::int64_t count, std::int64_t k,
                              void* packed);

/// The kernels of one instruction set for one pair of types.
///
/// A packed element holds `k_unit` consecutive inner indices of one row of A or column of B: one
/// float, or the pair of bfloat16 that vdpbf16ps multiplies. A packed panel is [k / k_unit][width]:
///
///   A: width = rows                       B: width = cols
///   k ↓  a00 a10 a20 … | one step         k ↓  b00 b01 b02 … | one step: loaded as vectors
///        a01 a11 a21 … |   broadcast           b10 b11 b12 … |
///
/// so a micro kernel walks both panels from beginning to end and touches nothing else.
template <class In, class Out>
struct Kernels {
  const char* name;
  int rows, cols;        // of the micro tile
  int k_unit;            // inner indices per packed element
  int k_multiple;        // the inner dimension is padded with zeros to a multiple of this
  int element_size;      // bytes of a packed element
  std::int64_t k_block;  // inner indices per pass over C
  bool reads_unpacked;   // micro kernels may also read A and B in place
  bool even_rows;        // lower tiles take less time: rows are cut evenly
  void (*micro[max_micro_rows])(const MicroArgs<Out>&);  // [rows − 1]
  // Where those read packed panels only: the same for rows of A that are contiguous along k, a_row
  // packed elements apart, and rows of B b_step apart. Rows of A up to a multiple of `rows_read`
  // are read, those behind the last one without effect. Null: micro does that too.
  void (*micro_in_rows[max_micro_rows])(const MicroArgs<Out>&);
  int rows_read;
  // "along_k": the source is contiguous along the inner dimension (A, or B transposed).
  PackFunction<In> pack_a_along_k, pack_a_across_k, pack_b_along_k, pack_b_across_k;
  void (*dot[max_dot_rows])(const DotArgs<In, Out>&);  // [rows − 1], null: none
  std::int64_t dot_side;  // products with at most so many rows or columns take them
  void (*finish)(const Epilogue<Out>& epilogue, std::int64_t row, std::int64_t col,
                 std::int64_t rows, std::int64_t cols, Out* c, std::int64_t ldc);
  void (*begin)();  // around a run of micro kernels; null: nothing to do
  void (*end)();
};

}  // namespace gemm_detail
}  // namespace cpu
TANDEM_NAMESPACE_END
