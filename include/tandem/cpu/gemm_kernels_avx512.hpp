#pragma once
/// Matrix-product kernels for AVX-512: tiles of 12 × 2 vectors, 24 of the 32 registers.

#include "tandem/cpu/gemm_types.hpp"
#include "tandem/tensor/dtype.hpp"

#if TANDEM_X86
#include <immintrin.h>

#define TANDEM_GEMM_TARGET TANDEM_TARGET_AVX512
#define TANDEM_AVX512 static TANDEM_ALWAYS_INLINE TANDEM_GEMM_TARGET

#if !defined(__clang__)
#pragma GCC diagnostic push  // GCC 12: _mm512_undefined_ps() inside its own intrinsics
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail::avx512 {

/// The mask whose first `count` lanes are set.
TANDEM_ALWAYS_INLINE TANDEM_GEMM_TARGET __mmask16 first16(std::int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffff : (1 << count) - 1);
}
TANDEM_ALWAYS_INLINE TANDEM_GEMM_TARGET __mmask8 first8(std::int64_t count) {
  return static_cast<__mmask8>(count >= 8 ? 0xff : (1 << count) - 1);
}

struct F32 {
  using Elem = float;
  using Sums = F32;
  using Vec = __m512;
  static constexpr int lanes = 16;
  static constexpr bool cheap_partial = true;
  static constexpr int k_unit = 1;

  TANDEM_AVX512 Vec load(const float* p) { return _mm512_loadu_ps(p); }
  TANDEM_AVX512 Vec load(const float* p, std::int64_t count) {
    return _mm512_maskz_loadu_ps(first16(count), p);
  }
  TANDEM_AVX512 Vec widen(__m256i half) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
  TANDEM_AVX512 Vec load(const bfloat16* p) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  TANDEM_AVX512 Vec load(const bfloat16* p, std::int64_t count) {
    return widen(_mm256_maskz_loadu_epi16(first16(count), p));
  }
  /// To the nearest bfloat16, ties to even; NaN stays NaN.
  TANDEM_AVX512 Vec round(Vec x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    const __mmask16 number = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    return _mm512_castsi512_ps(
        _mm512_mask_and_epi32(bits, number, up, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))));
  }
  TANDEM_AVX512 Vec load(const Rounded* p) { return round(_mm512_loadu_ps(p)); }
  TANDEM_AVX512 Vec load(const Rounded* p, std::int64_t count) {
    return round(_mm512_maskz_loadu_ps(first16(count), p));
  }
  TANDEM_AVX512 void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
  TANDEM_AVX512 void store(float* p, Vec v, std::int64_t count) {
    _mm512_mask_storeu_ps(p, first16(count), v);
  }
  TANDEM_AVX512 Vec zero() { return _mm512_setzero_ps(); }
  TANDEM_AVX512 Vec set(float x) { return _mm512_set1_ps(x); }
  TANDEM_AVX512 Vec broadcast(const float* p) { return _mm512_set1_ps(*p); }
  TANDEM_AVX512 Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  TANDEM_AVX512 Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  /// Four sums at once: adding interleaved halves leaves (a, b, c, d) partial sums in every 128
  /// bits.
  TANDEM_AVX512 void sum4(Vec a, Vec b, Vec c, Vec d, float* sums) {
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512 s =
        _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
  }
  /// 16 × 16: pairs of rows, pairs of pairs, then 128-bit blocks twice.
  TANDEM_AVX512 void transpose(Vec* r) {
    __m512 t[16];
    TANDEM_UNROLL for (int i = 0; i < 16; i += 2) {
      t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    TANDEM_UNROLL for (int i = 0; i < 16; i += 4) {
      r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
      r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
      r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    TANDEM_UNROLL for (int i = 0; i < 4; ++i) {
      t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
      t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
      t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
      t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    TANDEM_UNROLL for (int i = 0; i < 8; ++i) {
      r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
      r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    }
  }
};

struct F64 {
  using Elem = double;
  using Sums = F64;
  using Vec = __m512d;
  static constexpr int lanes = 8;
  static constexpr bool cheap_partial = true;
  static constexpr int k_unit = 1;

  TANDEM_AVX512 Vec load(const double* p) { return _mm512_loadu_pd(p); }
  TANDEM_AVX512 Vec load(const double* p, std::int64_t count) {
    return _mm512_maskz_loadu_pd(first8(count), p);
  }
  TANDEM_AVX512 void store(double* p, Vec v) { _mm512_storeu_pd(p, v); }
  TANDEM_AVX512 void store(double* p, Vec v, std::int64_t count) {
    _mm512_mask_storeu_pd(p, first8(count), v);
  }
  TANDEM_AVX512 Vec zero() { return _mm512_setzero_pd(); }
  TANDEM_AVX512 Vec set(double x) { return _mm512_set1_pd(x); }
  TANDEM_AVX512 Vec broadcast(const double* p) { return _mm512_set1_pd(*p); }
  TANDEM_AVX512 Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_pd(a, b, c); }
  TANDEM_AVX512 Vec mul(Vec a, Vec b) { return _mm512_mul_pd(a, b); }
  TANDEM_AVX512 void sum4(Vec a, Vec b, Vec c, Vec d, double* sums) {
    const __m512d ab = _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
    const __m512d cd = _mm512_add_pd(_mm512_unpacklo_pd(c, d), _mm512_unpackhi_pd(c, d));
    // (a b)(a b)(a b)(a b) and (c d)…: fold the upper onto the lower half, then the 128-bit halves.
    const __m256d p = _mm256_add_pd(_mm512_castpd512_pd256(ab), _mm512_extractf64x4_pd(ab, 1));
    const __m256d q = _mm256_add_pd(_mm512_castpd512_pd256(cd), _mm512_extractf64x4_pd(cd, 1));
    _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_permute2f128_pd(p, q, 0x20),
                                         _mm256_permute2f128_pd(p, q, 0x31)));
  }
  TANDEM_AVX512 void transpose(Vec* r) {
    __m512d t[8];
    TANDEM_UNROLL for (int i = 0; i < 8; i += 2) {
      t[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
    TANDEM_UNROLL for (int i = 0; i < 2; ++i) {
      r[i] = _mm512_shuffle_f64x2(t[i], t[i + 2], 0x88);
      r[i + 2] = _mm512_shuffle_f64x2(t[i], t[i + 2], 0xdd);
      r[i + 4] = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0x88);
      r[i + 6] = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0xdd);
    }
    TANDEM_UNROLL for (int i = 0; i < 4; ++i) {
      t[i] = _mm512_shuffle_f64x2(r[i], r[i + 4], 0x88);
      t[i + 4] = _mm512_shuffle_f64x2(r[i], r[i + 4], 0xdd);
    }
    TANDEM_UNROLL for (int i = 0; i < 8; ++i) r[i] = t[i];
  }
};

#include "tandem/cpu/gemm_micro_body.hpp"

}  // namespace cpu::gemm_detail::avx512
TANDEM_NAMESPACE_END

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#undef TANDEM_AVX512
#undef TANDEM_GEMM_TARGET
#endif  // TANDEM_X86
