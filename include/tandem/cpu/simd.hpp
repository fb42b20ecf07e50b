#pragma once
/// Portable SIMD that is chosen at run time, in one binary, without -march flags.
///
/// A kernel is a struct with a static template `run<V>`, written once for any vector type V:
///
///   struct Axpy {  // y += a·x
///     template <class V>
///     static TANDEM_ALWAYS_INLINE void run(float a, const float* x, float* y, std::int64_t n) {
///       const V factor(a);  // outside: GCC 12 at -O3 would fill it lane by lane in every round
///       vec_map<V>(n, y, [&](V xi, V yi) TANDEM_INLINE_LAMBDA { return fma(factor, xi, yi); }, x,
///                  y);
///     }
///   };
///   simd_dispatch<Axpy, float>(2.0F, x, y, n);
///
/// simd_dispatch calls run<Vec<float, 16>> from a function compiled for AVX-512, run<Vec<float, 8>>
/// from one for AVX2 and FMA, or run<Vec<float, 4>> from one without a target, as isa() says.
///
/// **Everything that takes or returns a Vec must be always inlined**: functions are marked
/// TANDEM_ALWAYS_INLINE, lambdas TANDEM_INLINE_LAMBDA. Their bodies are then compiled for the
/// target of the function they end up in, and no function that mentions a wide register is left
/// over for the linker to merge with another target's copy. A function that is really called would
/// pass its vectors by a convention that depends on the target.
///
/// Why compiler vector types and not intrinsics: an intrinsic needs the target on the function that
/// calls it, and a template cannot have a target that depends on its parameter, so every kernel
/// would have to be spelled or included once per target. GCC and Clang translate vector types after
/// inlining. The types are aligned to 16 bytes only, which costs nothing on these CPUs and keeps
/// the calling conventions, and with them -Wpsabi, out of it.
///
/// Arithmetic is IEEE, except that a·b + c may or may not be rounded once only, also where it is
/// written with two operators. Apart from that, and from the order in which reductions add, results
/// do not depend on the instruction set.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tandem/cpu/isa.hpp"
#include "tandem/tensor/config.hpp"

// Lets + and * become one instruction, which is GCC's default.
#if defined(__clang__)
#define TANDEM_CONTRACT _Pragma("clang fp contract(fast)")
#else
#define TANDEM_CONTRACT
#endif

// Clang 16 inlines a function with assembly only into one of exactly the same target.
#define TANDEM_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define TANDEM_TARGET_AVX512_BF16 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16")))
#define TANDEM_TARGET_AVX2 __attribute__((target("avx2,fma")))

#if defined(__has_feature)
#define TANDEM_HAS_FEATURE(name) __has_feature(name)
#else
#define TANDEM_HAS_FEATURE(name) 0
#endif

TANDEM_NAMESPACE_BEGIN
namespace cpu {

namespace detail {

template <std::size_t Bytes>
struct IntOfSize;
template <>
struct IntOfSize<2> {
  using Signed = std::int16_t;
  using Unsigned = std::uint16_t;
};
template <>
struct IntOfSize<4> {
  using Signed = std::int32_t;
  using Unsigned = std::uint32_t;
};
template <>
struct IntOfSize<8> {
  using Signed = std::int64_t;
  using Unsigned = std::uint64_t;
};

template <class T, int N>
struct RawVec {
  static constexpr std::size_t bytes = static_cast<std::size_t>(N) * sizeof(T);
  typedef T type __attribute__((vector_size(bytes), aligned(bytes < 16 ? bytes : 16)));
};

/// Copies the first `bytes` (below 2·Step, a multiple of Unit) in a few moves of fixed sizes.
template <std::size_t Step, std::size_t Unit>
TANDEM_ALWAYS_INLINE void copy_steps(unsigned char* to, const unsigned char* from,
                                     std::size_t bytes) {
  if constexpr (Step >= Unit) {
    if ((bytes & Step) != 0) {
      std::memcpy(to, from, Step);
      to += Step;
      from += Step;
    }
    copy_steps<Step / 2, Unit>(to, from, bytes);
  }
}

/// Copies the first n of N elements.
template <class T, int N>
TANDEM_ALWAYS_INLINE void copy_first(void* to, const void* from, std::int64_t n) {
  if (n >= N) {
    std::memcpy(to, from, N * sizeof(T));
  } else {
    copy_steps<N * sizeof(T) / 2, sizeof(T)>(static_cast<unsigned char*>(to),
                                             static_cast<const unsigned char*>(from),
                                             static_cast<std::size_t>(n) * sizeof(T));
  }
}

/// False may also mean "not asked yet", so it must only cost speed.
TANDEM_ALWAYS_INLINE bool cpu_has(Isa isa) {
  return known_best.load(std::memory_order_relaxed) >= isa;
}

// What only an instruction can do well. Each is a plain function, because an instruction needs its
// target; it is inlined into functions of that target and really called, through memory, from
// others. Vectors of 64 bytes also occur in code for smaller registers (As<double>), so whoever
// calls these asks the CPU first. AddressSanitizer does not see into them and gets the copies
// above.
#if TANDEM_X86 && !defined(__SANITIZE_ADDRESS__) && !TANDEM_HAS_FEATURE(address_sanitizer)
#define TANDEM_MASKED_MOVES 1
struct Block64 {
  unsigned char bytes[64];
} __attribute__((may_alias));

inline TANDEM_TARGET_AVX512 void load_first64(void* to, const void* from, std::uint64_t bytes) {
  const std::uint64_t mask = bytes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
  typename RawVec<std::uint8_t, 64>::type v;
  asm("vmovdqu8 %2, %0%{%1%}%{z%}" : "=v"(v) : "Yk"(mask), "m"(*static_cast<const Block64*>(from)));
  std::memcpy(to, &v, 64);
}
inline TANDEM_TARGET_AVX512 void store_first64(void* to, const void* from, std::uint64_t bytes) {
  const std::uint64_t mask = bytes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
  typename RawVec<std::uint8_t, 64>::type v;
  std::memcpy(&v, from, 64);
  asm("vmovdqu8 %1, %0%{%2%}" : "+m"(*static_cast<Block64*>(to)) : "v"(v), "Yk"(mask));
}
#else
#define TANDEM_MASKED_MOVES 0
#endif

}  // namespace detail

template <class T, int N>
struct Vec;

/// The outcome of comparing two Vec<T, N>: per lane all bits or none.
template <class T, int N>
struct Mask {
  using Raw = typename detail::RawVec<typename detail::IntOfSize<sizeof(T)>::Signed, N>::type;
  Raw raw;

  /// True in the first n lanes.
  static TANDEM_ALWAYS_INLINE Mask first(std::int64_t n) {
    return first(n, std::make_integer_sequence<int, N>());
  }

  // As 16-bit lanes: GCC 12 would turn "both comparisons" into an operation on AVX-512 mask
  // registers, which it then carries out bit by bit.
  friend TANDEM_ALWAYS_INLINE Mask operator&(Mask a, Mask b) {
    return {reinterpret_cast<Raw>(reinterpret_cast<Bits>(a.raw) & reinterpret_cast<Bits>(b.raw))};
  }
  friend TANDEM_ALWAYS_INLINE Mask operator|(Mask a, Mask b) {
    return {reinterpret_cast<Raw>(reinterpret_cast<Bits>(a.raw) | reinterpret_cast<Bits>(b.raw))};
  }
  friend TANDEM_ALWAYS_INLINE Mask operator~(Mask a) { return {~a.raw}; }

  /// True in some lane; in every lane.
  TANDEM_ALWAYS_INLINE bool any() const {
    if constexpr (N == 2) {
      return (raw[0] | raw[1]) != 0;
    } else {
      return fold(std::make_integer_sequence<int, N / 2>()).any();
    }
  }
  TANDEM_ALWAYS_INLINE bool all() const { return !(~*this).any(); }
  /// No one truth for all lanes: no `if`, `?:`, `&&` of masks.
  explicit operator bool() const = delete;  // use select(mask, a, b); & | ~ for && || !

 private:
  using Int = typename detail::IntOfSize<sizeof(T)>::Signed;
  using Bits = typename detail::RawVec<std::int16_t, static_cast<int>(sizeof(Raw) / 2)>::type;
  template <int... I>
  static TANDEM_ALWAYS_INLINE Mask first(std::int64_t n, std::integer_sequence<int, I...>) {
    const Int count = static_cast<Int>(n < N ? n : N);
    return {reinterpret_cast<Raw>(Raw{Int{I}...} < Vec<Int, N>(count).raw)};
  }
  template <int... I>
  TANDEM_ALWAYS_INLINE Mask<T, N / 2> fold(std::integer_sequence<int, I...>) const {
    return {__builtin_shufflevector(raw, raw, I...) |
            __builtin_shufflevector(raw, raw, (I + N / 2)...)};
  }
};

/// N lanes of T: float, double or an integer of 16 to 64 bits; N is a power of two, at least 2.
template <class T, int N>
struct Vec {
  using value_type = T;
  using Raw = typename detail::RawVec<T, N>::type;
  static constexpr int size = N;
  /// As many lanes of another type, and the integers of the same width.
  template <class U>
  using As = Vec<U, N>;
  using Int = Vec<typename detail::IntOfSize<sizeof(T)>::Signed, N>;
  using Uint = Vec<typename detail::IntOfSize<sizeof(T)>::Unsigned, N>;

  Raw raw;

  Vec() = default;
  /// Every lane = value. (A loop is what GCC 12 makes a broadcast of.)
  TANDEM_ALWAYS_INLINE Vec(T value) {
    for (int i = 0; i < N; ++i) raw[i] = value;
  }
  static TANDEM_ALWAYS_INLINE Vec from_raw(const Raw& bits) {
    Vec v;
    v.raw = bits;
    return v;
  }

  /// Lane i = i.
  static TANDEM_ALWAYS_INLINE Vec iota() { return iota(std::make_integer_sequence<int, N>()); }

  /// From and to N contiguous elements, without alignment.
  static TANDEM_ALWAYS_INLINE Vec load(const T* from) {
    Vec v;
    std::memcpy(&v.raw, from, sizeof(Raw));
    return v;
  }
  TANDEM_ALWAYS_INLINE void store(T* to) const { std::memcpy(to, &raw, sizeof(Raw)); }

  /// The first n lanes only, 0 <= n <= N; nothing beyond is touched, the other lanes read zero.
  static TANDEM_ALWAYS_INLINE Vec load_partial(const T* from, std::int64_t n) {
#if TANDEM_MASKED_MOVES
    if (sizeof(Raw) == 64 && detail::cpu_has(Isa::avx512)) {
      Vec v;
      detail::load_first64(&v.raw, from, static_cast<std::uint64_t>(n) * sizeof(T));
      return v;
    }
#endif
    // A variable of its own, so that only this path needs memory, and not a Raw: Clang 16 would
    // take a reference to it for aligned to all of its size.
    T in_memory[extent(N)] = {};
    detail::copy_first<T, N>(in_memory, from, n);
    return load(in_memory);
  }
  TANDEM_ALWAYS_INLINE void store_partial(T* to, std::int64_t n) const {
#if TANDEM_MASKED_MOVES
    if (sizeof(Raw) == 64 && detail::cpu_has(Isa::avx512)) {
      detail::store_first64(to, &raw, static_cast<std::uint64_t>(n) * sizeof(T));
      return;
    }
#endif
    T in_memory[extent(N)];
    store(in_memory);
    detail::copy_first<T, N>(to, in_memory, n);
  }

  TANDEM_ALWAYS_INLINE T operator[](int i) const { return raw[i]; }

  friend TANDEM_ALWAYS_INLINE Vec operator+(Vec a, Vec b) {
    TANDEM_CONTRACT
    return from_raw(a.raw + b.raw);
  }
  friend TANDEM_ALWAYS_INLINE Vec operator-(Vec a, Vec b) {
    TANDEM_CONTRACT
    return from_raw(a.raw - b.raw);
  }
  friend TANDEM_ALWAYS_INLINE Vec operator*(Vec a, Vec b) {
    TANDEM_CONTRACT
    return from_raw(a.raw * b.raw);
  }
  friend TANDEM_ALWAYS_INLINE Vec operator/(Vec a, Vec b) { return from_raw(a.raw / b.raw); }
  friend TANDEM_ALWAYS_INLINE Vec operator-(Vec a) { return from_raw(-a.raw); }
  TANDEM_ALWAYS_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
  TANDEM_ALWAYS_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
  TANDEM_ALWAYS_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }
  TANDEM_ALWAYS_INLINE Vec& operator/=(Vec b) { return *this = *this / b; }

  /// Bits, of integers. Shift counts are 0 … width−1; >> of a signed type keeps the sign.
  friend TANDEM_ALWAYS_INLINE Vec operator&(Vec a, Vec b) { return from_raw(a.raw & b.raw); }
  friend TANDEM_ALWAYS_INLINE Vec operator|(Vec a, Vec b) { return from_raw(a.raw | b.raw); }
  friend TANDEM_ALWAYS_INLINE Vec operator^(Vec a, Vec b) { return from_raw(a.raw ^ b.raw); }
  friend TANDEM_ALWAYS_INLINE Vec operator~(Vec a) { return from_raw(~a.raw); }
  friend TANDEM_ALWAYS_INLINE Vec operator<<(Vec a, int k) { return from_raw(a.raw << k); }
  friend TANDEM_ALWAYS_INLINE Vec operator>>(Vec a, int k) { return from_raw(a.raw >> k); }

  using M = Mask<T, N>;
  friend TANDEM_ALWAYS_INLINE M operator<(Vec a, Vec b) { return mask(a.raw < b.raw); }
  friend TANDEM_ALWAYS_INLINE M operator<=(Vec a, Vec b) { return mask(a.raw <= b.raw); }
  friend TANDEM_ALWAYS_INLINE M operator>(Vec a, Vec b) { return mask(a.raw > b.raw); }
  friend TANDEM_ALWAYS_INLINE M operator>=(Vec a, Vec b) { return mask(a.raw >= b.raw); }
  friend TANDEM_ALWAYS_INLINE M operator==(Vec a, Vec b) { return mask(a.raw == b.raw); }
  friend TANDEM_ALWAYS_INLINE M operator!=(Vec a, Vec b) { return mask(a.raw != b.raw); }

  /// The lower and the upper half of the lanes.
  TANDEM_ALWAYS_INLINE Vec<T, N / 2> low() const {
    return half<0>(std::make_integer_sequence<int, N / 2>());
  }
  TANDEM_ALWAYS_INLINE Vec<T, N / 2> high() const {
    return half<N / 2>(std::make_integer_sequence<int, N / 2>());
  }

 private:
  template <class R>
  static TANDEM_ALWAYS_INLINE M mask(const R& r) {
    return {reinterpret_cast<typename M::Raw>(r)};
  }
  template <int... I>
  static TANDEM_ALWAYS_INLINE Vec iota(std::integer_sequence<int, I...>) {
    return from_raw(Raw{static_cast<T>(I)...});
  }
  template <int Start, int... I>
  TANDEM_ALWAYS_INLINE Vec<T, N / 2> half(std::integer_sequence<int, I...>) const {
    return Vec<T, N / 2>::from_raw(__builtin_shufflevector(raw, raw, (Start + I)...));
  }
};

namespace detail {
template <class T, int N, int... I>
TANDEM_ALWAYS_INLINE Vec<T, 2 * N> join(Vec<T, N> low, Vec<T, N> high,
                                        std::integer_sequence<int, I...>) {
  return Vec<T, 2 * N>::from_raw(__builtin_shufflevector(low.raw, high.raw, I...));
}
}  // namespace detail

/// The lanes of low, then those of high.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, 2 * N> join(Vec<T, N> low, Vec<T, N> high) {
  return detail::join(low, high, std::make_integer_sequence<int, 2 * N>());
}

/// Lane by lane: mask ? a : b. Where two nested selects pick the same value, join their masks with
/// | instead: GCC 12 does it by itself, but slowly (see Mask).
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> select(Mask<T, N> mask, Vec<T, N> a,
                                      std::type_identity_t<Vec<T, N>> b) {
  if constexpr (sizeof(T) == 8 && sizeof(a) == 16) {  // SSE2 cannot compare 64-bit integers with 0
    using I = typename Mask<T, N>::Raw;
    return Vec<T, N>::from_raw(reinterpret_cast<typename Vec<T, N>::Raw>(
        (mask.raw & reinterpret_cast<I>(a.raw)) | (~mask.raw & reinterpret_cast<I>(b.raw))));
  } else {
    return Vec<T, N>::from_raw(mask.raw ? a.raw : b.raw);
  }
}

/// The same bits as lanes of another type of the same width: bit_cast<typename V::Uint>(v).
template <class To, class T, int N>
TANDEM_ALWAYS_INLINE To bit_cast(Vec<T, N> v) {
  static_assert(sizeof(typename To::Raw) == sizeof(v.raw));
  return To::from_raw(reinterpret_cast<typename To::Raw>(v.raw));
}

/// The mask's lanes for vectors of another type of the same width.
template <class U, class T, int N>
TANDEM_ALWAYS_INLINE Mask<U, N> mask_cast(Mask<T, N> mask) {
  static_assert(sizeof(U) == sizeof(T));
  return {reinterpret_cast<typename Mask<U, N>::Raw>(mask.raw)};
}

/// The same values as another type: floats become integers towards zero and must fit.
///   convert<std::int32_t>(v)
template <class U, class T, int N>
TANDEM_ALWAYS_INLINE Vec<U, N> convert(Vec<T, N> v) {
  return Vec<U, N>::from_raw(__builtin_convertvector(v.raw, typename Vec<U, N>::Raw));
}

/// a·b + c, in one instruction and with one rounding where the target has FMA.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> fma(Vec<T, N> a, std::type_identity_t<Vec<T, N>> b,
                                   std::type_identity_t<Vec<T, N>> c) {
  TANDEM_CONTRACT
  return Vec<T, N>::from_raw(a.raw * b.raw + c.raw);
}

/// The smaller and the larger one; **b if either is NaN**, so max(zero, x) keeps the NaN of x.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> min(Vec<T, N> a, std::type_identity_t<Vec<T, N>> b) {
  return Vec<T, N>::from_raw(a.raw < b.raw ? a.raw : b.raw);
}
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> max(Vec<T, N> a, std::type_identity_t<Vec<T, N>> b) {
  return Vec<T, N>::from_raw(a.raw > b.raw ? a.raw : b.raw);
}
/// The larger one; NaN if either is.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> max_nan(Vec<T, N> a, std::type_identity_t<Vec<T, N>> b) {
  return select((a > b) | (a != a), a, b);
}

/// Sign bit cleared; magnitude of a with the sign bit of b.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> abs(Vec<T, N> a) {
  using U = typename Vec<T, N>::Uint;
  constexpr auto sign = static_cast<typename U::value_type>(1) << (sizeof(T) * 8 - 1);
  return bit_cast<Vec<T, N>>(bit_cast<U>(a) & ~U(sign));
}
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> copysign(Vec<T, N> a, std::type_identity_t<Vec<T, N>> b) {
  using U = typename Vec<T, N>::Uint;
  constexpr auto sign = static_cast<typename U::value_type>(1) << (sizeof(T) * 8 - 1);
  return bit_cast<Vec<T, N>>((bit_cast<U>(a) & ~U(sign)) | (bit_cast<U>(b) & U(sign)));
}

template <class T, int N>
TANDEM_ALWAYS_INLINE Mask<T, N> isnan(Vec<T, N> a) {
  return a != a;
}

/// To the nearest integer, halves to even; NaN, infinities and −0 stay.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> round_even(Vec<T, N> a) {
  using V = Vec<T, N>;
  // From 2^(digits−1) on every number is an integer; below, adding that number rounds.
  constexpr T limit = sizeof(T) == 4 ? T(8388608) : T(4503599627370496);
  const V magnitude = abs(a);
  const V rounded = (magnitude + V(limit)) - V(limit);
  return copysign(select(magnitude < V(limit), rounded, a), a);
}
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> floor(Vec<T, N> a) {
  using V = Vec<T, N>;
  const V r = round_even(a);
  return copysign(r - select(r > a, V(T(1)), V(T(0))), a);
}
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> ceil(Vec<T, N> a) {
  return -floor(-a);
}
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> trunc(Vec<T, N> a) {
  return copysign(floor(abs(a)), a);
}

namespace detail {
// Compilers have no square root of a vector that both know. See load_first64 for the rest.
#if TANDEM_X86
template <class V>
inline TANDEM_TARGET_AVX512 void sqrt64(V& v) {
  if constexpr (sizeof(typename V::value_type) == 4) {
    asm("vsqrtps %1, %0" : "=v"(v.raw) : "v"(v.raw));
  } else {
    asm("vsqrtpd %1, %0" : "=v"(v.raw) : "v"(v.raw));
  }
}
template <class V>
inline TANDEM_TARGET_AVX2 void sqrt32(V& v) {
  if constexpr (sizeof(typename V::value_type) == 4) {
    asm("vsqrtps %1, %0" : "=x"(v.raw) : "x"(v.raw));
  } else {
    asm("vsqrtpd %1, %0" : "=x"(v.raw) : "x"(v.raw));
  }
}
#endif
}  // namespace detail

/// √a, correctly rounded; NaN below zero.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> sqrt(Vec<T, N> a) {
#if TANDEM_X86
  if constexpr (sizeof(a) == 16) {
    if constexpr (sizeof(T) == 4) {
      asm("sqrtps %1, %0" : "=x"(a.raw) : "x"(a.raw));
    } else {
      asm("sqrtpd %1, %0" : "=x"(a.raw) : "x"(a.raw));
    }
    return a;
  } else if constexpr (sizeof(a) > 16) {
    if constexpr (sizeof(a) == 64) {
      if (detail::cpu_has(Isa::avx512)) {
        detail::sqrt64(a);
        return a;
      }
    } else if constexpr (sizeof(a) == 32) {
      if (detail::cpu_has(Isa::avx2)) {
        detail::sqrt32(a);
        return a;
      }
    }
    return join(sqrt(a.low()), sqrt(a.high()));
  }
#endif
  for (int i = 0; i < N; ++i) {
    if constexpr (sizeof(T) == 4) {
      a.raw[i] = __builtin_sqrtf(a.raw[i]);
    } else {
      a.raw[i] = __builtin_sqrt(a.raw[i]);
    }
  }
  return a;
}

namespace detail {
/// Lane i meets lane i + N/2, then the same in the lower half. The last 16 bytes are not halved any
/// more:
/// smaller vectors go through memory in GCC.
template <class T, int N, class F>
TANDEM_ALWAYS_INLINE T reduce(Vec<T, N> v, F f) {
  if constexpr (N == 2) {
    return f(v, Vec<T, N>::from_raw(__builtin_shufflevector(v.raw, v.raw, 1, 0))).raw[0];
  } else if constexpr (N == 4) {
    v = f(v, Vec<T, N>::from_raw(__builtin_shufflevector(v.raw, v.raw, 2, 3, 0, 1)));
    return f(v, Vec<T, N>::from_raw(__builtin_shufflevector(v.raw, v.raw, 1, 0, 3, 2))).raw[0];
  } else {
    return reduce(f(v.low(), v.high()), f);
  }
}
template <class T, int N>
TANDEM_ALWAYS_INLINE T largest_number(Vec<T, N> v) {
  return reduce(v, [](auto a, auto b) TANDEM_INLINE_LAMBDA { return max(a, b); });
}
}  // namespace detail

/// The sum and the largest of the lanes (NaN if there is one). The order is fixed.
template <class T, int N>
TANDEM_ALWAYS_INLINE T reduce_sum(Vec<T, N> v) {
  return detail::reduce(v, [](auto a, auto b) TANDEM_INLINE_LAMBDA { return a + b; });
}
template <class T, int N>
TANDEM_ALWAYS_INLINE T reduce_max(Vec<T, N> v) {
  if constexpr (std::is_floating_point_v<T>) {
    if (isnan(v).any()) return static_cast<T>(__builtin_nan(""));
  }
  return detail::largest_number(v);
}

/// bfloat16, the upper half of a float: widening is exact; narrowing rounds to nearest, halves to
/// even, and keeps NaN a NaN.
template <int N>
TANDEM_ALWAYS_INLINE Vec<float, N> from_bf16(Vec<std::uint16_t, N> bits) {
  return bit_cast<Vec<float, N>>(convert<std::uint32_t>(bits) << 16);
}
template <int N>
TANDEM_ALWAYS_INLINE Vec<std::uint16_t, N> to_bf16(Vec<float, N> v) {
  using U = Vec<std::uint32_t, N>;
  const U bits = bit_cast<U>(v);
  const U upper = bits >> 16;
  const U rounded = (bits + U(0x7fff) + (upper & U(1))) >> 16;
  const U quiet = upper | U(0x40);
  return convert<std::uint16_t>(select(mask_cast<std::uint32_t>(isnan(v)), quiet, rounded));
}

/// Calls f(i, count) for i = 0, N, 2N … below n: count is N except for what is left at the end.
template <class V, class F>
TANDEM_ALWAYS_INLINE void for_each_vec(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + V::size <= n; i += V::size) f(i, static_cast<std::int64_t>(V::size));
  if (i < n) f(i, n - i);
}

/// y[i] = f(x[i]…) for i < n; y may be one of the inputs.
///   vec_map<V>(n, y, [](V a, V b) TANDEM_INLINE_LAMBDA { return a * b; }, x0, x1);
template <class V, class F, class... X>
TANDEM_ALWAYS_INLINE void vec_map(std::int64_t n, typename V::value_type* y, F f, const X*... x) {
  std::int64_t i = 0;
  for (; i + V::size <= n; i += V::size) {
    f(Vec<X, V::size>::load(x + i)...).store(y + i);
  }
  if (i < n) f(Vec<X, V::size>::load_partial(x + i, n - i)...).store_partial(y + i, n - i);
}

/// Σ f(x[i]…) for i < n: four running vectors take turns, so the rounding error grows like
/// n/(4N)·ε; the order depends on n and N only.
template <class V, class F, class... X>
TANDEM_ALWAYS_INLINE typename V::value_type vec_sum(std::int64_t n, F f, const X*... x) {
  using T = typename V::value_type;
  constexpr std::int64_t N = V::size;
  V s0(T(0)), s1(T(0)), s2(T(0)), s3(T(0));
  std::int64_t i = 0;
  for (; i + 4 * N <= n; i += 4 * N) {
    s0 += f(Vec<X, V::size>::load(x + i)...);
    s1 += f(Vec<X, V::size>::load(x + i + N)...);
    s2 += f(Vec<X, V::size>::load(x + i + 2 * N)...);
    s3 += f(Vec<X, V::size>::load(x + i + 3 * N)...);
  }
  for (; i + N <= n; i += N) s0 += f(Vec<X, V::size>::load(x + i)...);
  if (i < n) {
    const V rest = f(Vec<X, V::size>::load_partial(x + i, n - i)...);
    s1 += select(Mask<T, V::size>::first(n - i), rest, V(T(0)));
  }
  return reduce_sum((s0 + s1) + (s2 + s3));
}

/// max f(x[i]…) for i < n; NaN if any is, −∞ for n = 0.
template <class V, class F, class... X>
TANDEM_ALWAYS_INLINE typename V::value_type vec_max(std::int64_t n, F f, const X*... x) {
  using T = typename V::value_type;
  constexpr std::int64_t N = V::size;
  const V least(static_cast<T>(-__builtin_inf()));
  V m0 = least, m1 = least;
  Mask<T, V::size> nan0 = least != least, nan1 = nan0;  // max skips NaN, these remember it
  const auto step = [](V value, V& m, Mask<T, V::size>& nan) TANDEM_INLINE_LAMBDA {
    m = max(value, m);
    nan = nan | isnan(value);
  };
  std::int64_t i = 0;
  for (; i + 2 * N <= n; i += 2 * N) {
    step(f(Vec<X, V::size>::load(x + i)...), m0, nan0);
    step(f(Vec<X, V::size>::load(x + i + N)...), m1, nan1);
  }
  for (; i + N <= n; i += N) step(f(Vec<X, V::size>::load(x + i)...), m0, nan0);
  if (i < n) {
    const V rest = f(Vec<X, V::size>::load_partial(x + i, n - i)...);
    step(select(Mask<T, V::size>::first(n - i), rest, least), m1, nan1);
  }
  if ((nan0 | nan1).any()) return static_cast<T>(__builtin_nan(""));
  return detail::largest_number(max(m0, m1));
}

/// Of a contiguous row: Σx, max x, Σ(x − c)², Σxy, Σx².
template <class V, class T>
TANDEM_ALWAYS_INLINE T row_sum(const T* x, std::int64_t n) {
  return vec_sum<V>(
      n, [](V a) TANDEM_INLINE_LAMBDA { return a; }, x);
}
template <class V, class T>
TANDEM_ALWAYS_INLINE T row_max(const T* x, std::int64_t n) {
  return vec_max<V>(
      n, [](V a) TANDEM_INLINE_LAMBDA { return a; }, x);
}
template <class V, class T>
TANDEM_ALWAYS_INLINE T row_dot(const T* x, const T* y, std::int64_t n) {
  return vec_sum<V>(
      n, [](V a, V b) TANDEM_INLINE_LAMBDA { return a * b; }, x, y);
}
template <class V, class T>
TANDEM_ALWAYS_INLINE T row_sum_squares(const T* x, std::int64_t n) {
  return vec_sum<V>(
      n, [](V a) TANDEM_INLINE_LAMBDA { return a * a; }, x);
}
template <class V, class T>
TANDEM_ALWAYS_INLINE T row_sum_squares_around(const T* x, std::type_identity_t<T> centre,
                                              std::int64_t n) {
  return vec_sum<V>(
      n,
      [c = V(centre)](V a) TANDEM_INLINE_LAMBDA {
        const V d = a - c;
        return d * d;
      },
      x);
}

namespace detail {
#if TANDEM_X86
template <class Kernel, class V, class R, class... Args>
TANDEM_TARGET_AVX512 TANDEM_NOINLINE R run_avx512(Args... args) {
  return Kernel::template run<V>(args...);
}
template <class Kernel, class V, class R, class... Args>
TANDEM_TARGET_AVX2 TANDEM_NOINLINE R run_avx2(Args... args) {
  return Kernel::template run<V>(args...);
}
#endif
template <class Kernel, class V, class R, class... Args>
TANDEM_NOINLINE R run_portable(Args... args) {
  return Kernel::template run<V>(args...);
}
}  // namespace detail

/// Calls Kernel::run<Vec<T, N>>(args…) with the widest vectors that isa() has. The arguments are
/// passed by value: pointers, numbers, small structs. Returns what the kernel returns.
template <class Kernel, class T, class... Args>
TANDEM_ALWAYS_INLINE auto simd_dispatch(Args... args) {
  constexpr int bytes = static_cast<int>(sizeof(T));
  using Portable = Vec<T, 16 / bytes>;
  using R = decltype(Kernel::template run<Portable>(args...));
#if TANDEM_X86
  const Isa active = isa();
  if (active >= Isa::avx512) {
    return detail::run_avx512<Kernel, Vec<T, 64 / bytes>, R, Args...>(args...);
  }
  if (active >= Isa::avx2) {
    return detail::run_avx2<Kernel, Vec<T, 32 / bytes>, R, Args...>(args...);
  }
#endif
  return detail::run_portable<Kernel, Portable, R, Args...>(args...);
}

}  // namespace cpu
TANDEM_NAMESPACE_END
