#pragma once
/// Matrix-product kernels for AVX512-BF16: vdpbf16ps multiplies pairs of bfloat16 and adds both
/// products to a float, so a packed element is a pair (k, k + 1) and everything else is as for
/// float. The instruction treats subnormal inputs and results as zeros.

#include "tandem/cpu/gemm_kernels_avx512.hpp"

#if TANDEM_X86

#define TANDEM_GEMM_TARGET TANDEM_TARGET_AVX512_BF16
#define TANDEM_AVX512 static TANDEM_ALWAYS_INLINE TANDEM_GEMM_TARGET

#if !defined(__clang__)
#pragma GCC diagnostic push  // GCC 12: _mm512_undefined_ps() inside its own intrinsics
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail::avx512_bf16 {

/// 16 pairs.
struct Pairs {
  using Elem = std::uint32_t;
  using Sums = avx512::F32;
  using Vec = __m512i;
  static constexpr int lanes = 16;
  static constexpr bool cheap_partial = true;
  static constexpr int k_unit = 2;

  TANDEM_AVX512 Vec load(const std::uint32_t* p) { return _mm512_loadu_si512(p); }
  TANDEM_AVX512 Vec load(const bfloat16* p) { return _mm512_loadu_si512(p); }
  TANDEM_AVX512 Vec load(const bfloat16* p, std::int64_t count) {
    const std::uint32_t mask = count >= 32 ? 0xffffffffU : (std::uint32_t{1} << count) - 1;
    return _mm512_maskz_loadu_epi16(mask, p);
  }
  TANDEM_AVX512 Vec narrow(__m512 low, __m512 high) {
    return reinterpret_cast<Vec>(_mm512_cvtne2ps_pbh(high, low));
  }
  TANDEM_AVX512 Vec load(const Rounded* p) {
    return narrow(_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16));
  }
  TANDEM_AVX512 Vec load(const Rounded* p, std::int64_t count) {
    const std::int64_t above = count > 16 ? count - 16 : 0;
    return narrow(_mm512_maskz_loadu_ps(avx512::first16(count), p),
                  _mm512_maskz_loadu_ps(avx512::first16(above), p + 16));
  }
  TANDEM_AVX512 void store(std::uint32_t* p, Vec v) { _mm512_storeu_si512(p, v); }
  TANDEM_AVX512 void store(std::uint32_t* p, Vec v, std::int64_t count) {
    _mm512_mask_storeu_epi32(p, avx512::first16(count), v);
  }
  TANDEM_AVX512 Vec zero() { return _mm512_setzero_si512(); }
  TANDEM_AVX512 Vec broadcast(const std::uint32_t* p) {
    Vec v = _mm512_set1_epi32(static_cast<int>(*p));
#if defined(__clang__)
    asm("" : "+v"(v));  // Clang 16 crashes where it turns this into a broadcast of bfloat16
#endif
    return v;
  }
  TANDEM_AVX512 __m512 fma(Vec a, Vec b, __m512 c) {
    return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  TANDEM_AVX512 void transpose(Vec* r) {
    __m512 f[16];
    TANDEM_UNROLL for (int i = 0; i < 16; ++i) f[i] = _mm512_castsi512_ps(r[i]);
    Sums::transpose(f);
    TANDEM_UNROLL for (int i = 0; i < 16; ++i) r[i] = _mm512_castps_si512(f[i]);
  }
  /// Pairs from two rows of the source: p below, q (null: zeros) above.
  TANDEM_AVX512 Vec interleave(__m256i p, __m256i q) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(p),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(q), 16));
  }
  TANDEM_AVX512 Vec combine(const bfloat16* p, const bfloat16* q) {
    return interleave(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q)));
  }
  TANDEM_AVX512 Vec combine(const bfloat16* p, const bfloat16* q, std::int64_t count) {
    const __mmask16 mask = avx512::first16(count);
    return interleave(_mm256_maskz_loadu_epi16(mask, p),
                      q != nullptr ? _mm256_maskz_loadu_epi16(mask, q) : _mm256_setzero_si256());
  }
  TANDEM_AVX512 Vec interleave(__m512 p, __m512 q) {
    return interleave(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(p)),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(q)));
  }
  TANDEM_AVX512 Vec combine(const Rounded* p, const Rounded* q) {
    return interleave(_mm512_loadu_ps(p), _mm512_loadu_ps(q));
  }
  TANDEM_AVX512 Vec combine(const Rounded* p, const Rounded* q, std::int64_t count) {
    const __mmask16 mask = avx512::first16(count);
    return interleave(_mm512_maskz_loadu_ps(mask, p),
                      q != nullptr ? _mm512_maskz_loadu_ps(mask, q) : _mm512_setzero_ps());
  }
};

#include "tandem/cpu/gemm_micro_body.hpp"

}  // namespace cpu::gemm_detail::avx512_bf16
TANDEM_NAMESPACE_END

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#undef TANDEM_AVX512
#undef TANDEM_GEMM_TARGET
#endif  // TANDEM_X86
