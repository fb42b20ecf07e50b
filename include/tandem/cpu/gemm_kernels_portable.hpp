#pragma once
/// Matrix-product kernels for any CPU: 16-byte compiler vectors (SSE2 on x86-64, NEON on ARM),
/// tiles of 4 × 2 vectors.

#include <cstring>

#include "tandem/cpu/gemm_types.hpp"
#include "tandem/tensor/dtype.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail::portable {

/// 16 bytes of T (float or double).
template <class T>
struct Lanes {
  using Elem = T;
  using Sums = Lanes;
  using Vec [[gnu::vector_size(16)]] = T;
  static constexpr int lanes = 16 / sizeof(T);
  static constexpr bool cheap_partial = false;
  static constexpr int k_unit = 1;

  static TANDEM_ALWAYS_INLINE Vec load(const T* p) {
    Vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static TANDEM_ALWAYS_INLINE Vec load(const T* p, std::int64_t count) {
    Vec v = {};
    for (int i = 0; i < lanes; ++i) {
      if (i < count) v[i] = p[i];
    }
    return v;
  }
  static TANDEM_ALWAYS_INLINE Vec load(const bfloat16* p, std::int64_t count = lanes) {
    Vec v = {};
    for (int i = 0; i < lanes; ++i) {
      if (i < count) v[i] = static_cast<float>(p[i]);
    }
    return v;
  }
  static TANDEM_ALWAYS_INLINE Vec load(const Rounded* p, std::int64_t count = lanes) {
    Vec v = {};
    for (int i = 0; i < lanes; ++i) {
      if (i < count) v[i] = static_cast<float>(static_cast<bfloat16>(p[i].value));
    }
    return v;
  }
  static TANDEM_ALWAYS_INLINE void store(T* p, Vec v) { std::memcpy(p, &v, sizeof v); }
  static TANDEM_ALWAYS_INLINE void store(T* p, Vec v, std::int64_t count) {
    for (int i = 0; i < lanes; ++i) {
      if (i < count) p[i] = v[i];
    }
  }
  static TANDEM_ALWAYS_INLINE Vec zero() { return Vec{}; }
  static TANDEM_ALWAYS_INLINE Vec set(T x) { return Vec{} + x; }
  static TANDEM_ALWAYS_INLINE Vec broadcast(const T* p) { return set(*p); }
  static TANDEM_ALWAYS_INLINE Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
  static TANDEM_ALWAYS_INLINE Vec mul(Vec a, Vec b) { return a * b; }
  static TANDEM_ALWAYS_INLINE void sum4(Vec a, Vec b, Vec c, Vec d, T* sums) {
    const Vec all[4] = {a, b, c, d};
    for (int i = 0; i < 4; ++i) {
      sums[i] = 0;
      for (int j = 0; j < lanes; ++j) sums[i] += all[i][j];
    }
  }
  static TANDEM_ALWAYS_INLINE void transpose(Vec* r) {
    for (int i = 0; i < lanes; ++i) {
      for (int j = 0; j < i; ++j) {
        const T upper = r[j][i];
        r[j][i] = r[i][j];
        r[i][j] = upper;
      }
    }
  }
};

#define TANDEM_GEMM_TARGET
#include "tandem/cpu/gemm_micro_body.hpp"
#undef TANDEM_GEMM_TARGET

}  // namespace cpu::gemm_detail::portable
TANDEM_NAMESPACE_END
