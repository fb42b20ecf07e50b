#pragma once
/// Matrix-product kernels for AVX2 and FMA: tiles of 6 × 2 vectors, 12 of the 16 registers.

#include "tandem/cpu/gemm_types.hpp"
#include "tandem/tensor/dtype.hpp"

#if TANDEM_X86
#include <immintrin.h>

#define TANDEM_GEMM_TARGET TANDEM_TARGET_AVX2
#define TANDEM_AVX2 static TANDEM_ALWAYS_INLINE TANDEM_GEMM_TARGET

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail::avx2 {

/// The mask whose first `count` of 8 lanes (or 2·count half lanes) are set.
TANDEM_ALWAYS_INLINE TANDEM_GEMM_TARGET __m256i first_lanes(std::int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

struct F32 {
  using Elem = float;
  using Sums = F32;
  using Vec = __m256;
  static constexpr int lanes = 8;
  static constexpr bool cheap_partial = false;
  static constexpr int k_unit = 1;

  TANDEM_AVX2 Vec load(const float* p) { return _mm256_loadu_ps(p); }
  TANDEM_AVX2 Vec load(const float* p, std::int64_t count) {
    return _mm256_maskload_ps(p, first_lanes(count));
  }
  TANDEM_AVX2 Vec load(const bfloat16* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
  TANDEM_AVX2 Vec load(const bfloat16* p, std::int64_t count) {
    bfloat16 all[lanes] = {};
    for (int i = 0; i < lanes; ++i) {
      if (i < count) all[i] = p[i];
    }
    return load(all);
  }
  /// To the nearest bfloat16, ties to even; NaN stays NaN.
  TANDEM_AVX2 Vec round(Vec x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    const __m256i high = _mm256_and_si256(up, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U)));
    return _mm256_blendv_ps(x, _mm256_castsi256_ps(high), _mm256_cmp_ps(x, x, _CMP_ORD_Q));
  }
  TANDEM_AVX2 Vec load(const Rounded* p) {
    return round(_mm256_loadu_ps(reinterpret_cast<const float*>(p)));
  }
  TANDEM_AVX2 Vec load(const Rounded* p, std::int64_t count) {
    return round(load(reinterpret_cast<const float*>(p), count));
  }
  TANDEM_AVX2 void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
  TANDEM_AVX2 void store(float* p, Vec v, std::int64_t count) {
    _mm256_maskstore_ps(p, first_lanes(count), v);
  }
  TANDEM_AVX2 Vec zero() { return _mm256_setzero_ps(); }
  TANDEM_AVX2 Vec set(float x) { return _mm256_set1_ps(x); }
  TANDEM_AVX2 Vec broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  TANDEM_AVX2 Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  TANDEM_AVX2 Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  TANDEM_AVX2 void sum4(Vec a, Vec b, Vec c, Vec d, float* sums) {
    const __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
  }
  /// 8 × 8: pairs of rows, pairs of pairs, halves.
  TANDEM_AVX2 void transpose(Vec* r) {
    __m256 t[8];
    TANDEM_UNROLL for (int i = 0; i < 8; i += 2) {
      t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    TANDEM_UNROLL for (int i = 0; i < 8; i += 4) {
      r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
      r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
      r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    TANDEM_UNROLL for (int i = 0; i < 4; ++i) {
      const __m256 low = r[i], high = r[i + 4];
      r[i] = _mm256_permute2f128_ps(low, high, 0x20);
      r[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
  }
};

struct F64 {
  using Elem = double;
  using Sums = F64;
  using Vec = __m256d;
  static constexpr int lanes = 4;
  static constexpr bool cheap_partial = false;
  static constexpr int k_unit = 1;

  TANDEM_AVX2 __m256i first(std::int64_t count) { return first_lanes(2 * count); }
  TANDEM_AVX2 Vec load(const double* p) { return _mm256_loadu_pd(p); }
  TANDEM_AVX2 Vec load(const double* p, std::int64_t count) {
    return _mm256_maskload_pd(p, first(count));
  }
  TANDEM_AVX2 void store(double* p, Vec v) { _mm256_storeu_pd(p, v); }
  TANDEM_AVX2 void store(double* p, Vec v, std::int64_t count) {
    _mm256_maskstore_pd(p, first(count), v);
  }
  TANDEM_AVX2 Vec zero() { return _mm256_setzero_pd(); }
  TANDEM_AVX2 Vec set(double x) { return _mm256_set1_pd(x); }
  TANDEM_AVX2 Vec broadcast(const double* p) { return _mm256_broadcast_sd(p); }
  TANDEM_AVX2 Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_pd(a, b, c); }
  TANDEM_AVX2 Vec mul(Vec a, Vec b) { return _mm256_mul_pd(a, b); }
  TANDEM_AVX2 void sum4(Vec a, Vec b, Vec c, Vec d, double* sums) {
    const __m256d ab = _mm256_hadd_pd(a, b), cd = _mm256_hadd_pd(c, d);
    _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x20),
                                         _mm256_permute2f128_pd(ab, cd, 0x31)));
  }
  TANDEM_AVX2 void transpose(Vec* r) {
    const __m256d t0 = _mm256_unpacklo_pd(r[0], r[1]), t1 = _mm256_unpackhi_pd(r[0], r[1]);
    const __m256d t2 = _mm256_unpacklo_pd(r[2], r[3]), t3 = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(t0, t2, 0x20);
    r[1] = _mm256_permute2f128_pd(t1, t3, 0x20);
    r[2] = _mm256_permute2f128_pd(t0, t2, 0x31);
    r[3] = _mm256_permute2f128_pd(t1, t3, 0x31);
  }
};

#include "tandem/cpu/gemm_micro_body.hpp"

}  // namespace cpu::gemm_detail::avx2
TANDEM_NAMESPACE_END

#undef TANDEM_AVX2
#undef TANDEM_GEMM_TARGET
#endif  // TANDEM_X86
