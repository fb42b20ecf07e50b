#pragma once
/// Transposing in vectors: N × N lanes at a time, and whole matrices.

#include <cstdint>
#include <utility>

#include "tandem/cpu/gemm_types.hpp"
#include "tandem/cpu/simd.hpp"

// Unrolled loops under a sanitizer, with every index checked, would take minutes to compile.
#if defined(__SANITIZE_ADDRESS__) || TANDEM_HAS_FEATURE(address_sanitizer)
#define TANDEM_UNROLL_TILE
#else
#define TANDEM_UNROLL_TILE TANDEM_UNROLL
#endif

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// (a0 b0 a1 b1 …) of the lower and of the upper halves.
template <class T, int N, int... I>
TANDEM_ALWAYS_INLINE void interleave(Vec<T, N> a, Vec<T, N> b, Vec<T, N>& low, Vec<T, N>& high,
                                     std::integer_sequence<int, I...>) {
  low = Vec<T, N>::from_raw(__builtin_shufflevector(a.raw, b.raw, (I / 2 + I % 2 * N)...));
  high = Vec<T, N>::from_raw(__builtin_shufflevector(a.raw, b.raw, (N / 2 + I / 2 + I % 2 * N)...));
}

/// N × N lanes: log₂ N times, row i and row i + N/2 are interleaved into rows 2i and 2i + 1.
template <class V>
TANDEM_ALWAYS_INLINE void transpose(V (&r)[V::size]) {
  constexpr int N = V::size;
  V t[extent(N)];
  TANDEM_UNROLL_TILE for (int step = N; step > 1; step /= 2) {
    TANDEM_UNROLL_TILE for (int i = 0; i < N / 2; ++i) {
      interleave(r[i], r[i + N / 2], t[2 * i], t[2 * i + 1], std::make_integer_sequence<int, N>());
    }
    TANDEM_UNROLL_TILE for (int i = 0; i < N; ++i) r[i] = t[i];
  }
}

/// to (columns, rows) = xᵀ for x (rows, columns); the steps go from one row to the next.
/// `simd_dispatch<TransposeRows, float>(rows, columns, x, x_step, to, to_step)` runs it.
struct TransposeRows {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t columns, const T* x,
                                       std::int64_t x_step, T* to, std::int64_t to_step) {
    constexpr int N = V::size;
    for (std::int64_t i = 0; i < rows; i += N) {
      const std::int64_t high = rows - i < N ? rows - i : N;
      for (std::int64_t j = 0; j < columns; j += N) {
        const std::int64_t wide = columns - j < N ? columns - j : N;
        const T* from = x + i * x_step + j;
        T* out = to + j * to_step + i;
        V r[extent(N)];
        if (high == N && wide == N) {
          TANDEM_UNROLL_TILE for (int k = 0; k < N; ++k) r[k] = V::load(from + k * x_step);
          transpose(r);
          TANDEM_UNROLL_TILE for (int k = 0; k < N; ++k) r[k].store(out + k * to_step);
          continue;
        }
        for (int k = 0; k < N; ++k)
          r[k] = k < high ? V::load_partial(from + k * x_step, wide) : V(T(0));
        transpose(r);
        for (int k = 0; k < wide; ++k) r[k].store_partial(out + k * to_step, high);
      }
    }
  }
};

}  // namespace cpu
TANDEM_NAMESPACE_END
