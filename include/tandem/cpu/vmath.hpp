#pragma once
/// Elementary functions on Vec: exp, expm1, log, log1p, tanh, sigmoid, erf, sin, cos, for float and
/// double.
///
///   struct Softplus {  // y = log(1 + e^x), written so that neither end overflows
///     template <class V>
///     static TANDEM_ALWAYS_INLINE void run(const float* x, float* y, std::int64_t n) {
///       vec_map<V>(n, y, [](V a) TANDEM_INLINE_LAMBDA {
///         return max(V(0.0F), a) + log1p(exp(-abs(a)));
///       }, x);
///     }
///   };
///
/// Errors in units in the last place, over all arguments, subnormal ones and results included: the
/// bound that tests/cpu/vmath_test.cpp asserts, and the largest that 70 million floats and 40
/// million doubles showed on any instruction set:
///
///              exp   expm1  log   log1p  tanh  sigmoid  erf   sin, cos
///   bound      1     1.75   1     1      2     2        1.5   1
///   float      0.98  1.44   0.83  0.81   1.88  1.77     1.41  0.90
///   double     0.98  1.53   0.82  0.81   1.89  1.64     1.13  0.87
/// (sin and cos: 3 million each). erf of double is the C library's, and so are sin and cos of float
/// beyond 2²³ and of double beyond 2²⁰.
///
/// NaN gives NaN; infinities, signed zeros and poles give what <cmath> gives. No result depends on
/// FMA for its accuracy, so the portable instruction set meets the same bounds.
///
/// The reductions are the classical ones (Cody & Waite, *Software Manual for the Elementary
/// Functions*, 1980; Muller, *Elementary Functions*, 3rd ed., 2016, ch. 3 and 11); the coefficients
/// are minimax fits of our own, printed by tests/golden/vmath_coefficients.py.

#include <cstdint>
#include <limits>

#include "tandem/cpu/simd.hpp"
#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

namespace detail {

/// The IEEE format and the polynomials of each type.
template <class T>
struct Elementary;

template <>
struct Elementary<float> {
  using Bits = std::uint32_t;
  static constexpr int mantissa = 23;
  static constexpr Bits bias = 127;
  static constexpr Bits sqrt_half = 0x3f3504f3;
  static constexpr float two_to_mantissa = 0x1p23F;
  static constexpr float ln2_high = 0x1.62e4p-1F, ln2_low = 0x1.7f7d1cp-20F;
  static constexpr float log2_e = 0x1.715476p+0F;
  static constexpr float exp_low = -104, exp_high = 89;     // beyond: 0 and ∞
  static constexpr float exp_normal_low = -0x1.5d589ep+6F;  // log 2^−126
  static constexpr float expm1_low = -18;                   // below: −1
  static constexpr float tanh_high = 10;                    // beyond: 1
  // (e^r − 1 − r)/r² on ±ln2/2; (log((1+s)/(1−s)) − 2s)/s³ in s² up to s = (√2−1)/(√2+1)
  static constexpr float exp_tail[] = {0x1p-1F,       0x1.555556p-3F,  0x1.5554aep-5F,
                                       0x1.11109p-7F, 0x1.6d7486p-10F, 0x1.a1a164p-13F};
  static constexpr float log_tail[] = {0x1.555554p-1F, 0x1.999a7ap-2F, 0x1.2438d2p-2F,
                                       0x1.e2f722p-3F};
  // (sin r − r)/r³ and (cos r − 1 + r²/2)/r⁴ in r² up to π/4
  static constexpr float sin_tail[] = {-0x1.555556p-3F, 0x1.111108p-7F, -0x1.a00f9ep-13F,
                                       0x1.6cd85ap-19F};
  static constexpr float cos_tail[] = {0x1.55554ap-5F, -0x1.6c0c8cp-10F, 0x1.9a0232p-16F};
  static constexpr float trigonometric_limit = 0x1p23F;  // beyond: the C library
};

template <>
struct Elementary<double> {
  using Bits = std::uint64_t;
  static constexpr int mantissa = 52;
  static constexpr Bits bias = 1023;
  static constexpr Bits sqrt_half = 0x3fe6a09e667f3bcd;
  static constexpr double two_to_mantissa = 0x1p52;
  static constexpr double ln2_high = 0x1.62e42fefa2p-1, ln2_low = 0x1.9ef35793c7673p-41;
  static constexpr double log2_e = 0x1.71547652b82fep+0;
  static constexpr double exp_low = -746, exp_high = 710;
  static constexpr double exp_normal_low = -0x1.6232bdd7abcd0p+9;  // log 2^−1022
  static constexpr double expm1_low = -40;
  static constexpr double tanh_high = 20;
  static constexpr double exp_tail[] = {0x1p-1,
                                        0x1.5555555555559p-3,
                                        0x1.555555555555ap-5,
                                        0x1.111111110f6aep-7,
                                        0x1.6c16c16c1445dp-10,
                                        0x1.a01a01afe53dfp-13,
                                        0x1.a01a01b0b3444p-16,
                                        0x1.71ddf85367927p-19,
                                        0x1.27e4c5a8da65bp-22,
                                        0x1.af5ebf6184e1ep-26,
                                        0x1.1f955708db583p-29};
  static constexpr double log_tail[] = {
      0x1.5555555555592p-1, 0x1.999999997fd77p-2, 0x1.24924941f4fa6p-2, 0x1.c71c520608b20p-3,
      0x1.74663fa20502dp-3, 0x1.39a1a6fa2752cp-3, 0x1.2f06346b85b00p-3};
  static constexpr double sin_tail[] = {-0x1.5555555555549p-3,  0x1.111111110f87dp-7,
                                        -0x1.a01a019c12029p-13, 0x1.71de357815ccap-19,
                                        -0x1.ae5e6687f7c10p-26, 0x1.5d93183456b05p-33};
  static constexpr double cos_tail[] = {0x1.555555555554cp-5,  -0x1.6c16c16c15181p-10,
                                        0x1.a01a019cb2169p-16, -0x1.27e4f80a33af9p-22,
                                        0x1.1ee9ec18943fcp-29, -0x1.8faeb5e6bf521p-37};
  static constexpr double trigonometric_limit = 0x1p20;
};

/// c₀ + c₁x + c₂x² + … by Horner's rule.
template <class T, int N, std::size_t Count, std::size_t I = 0>
TANDEM_ALWAYS_INLINE Vec<T, N> polynomial(Vec<T, N> x, const T (&c)[Count]) {
  if constexpr (I + 1 == Count) {
    return Vec<T, N>(c[I]);
  } else {
    return fma(polynomial<T, N, Count, I + 1>(x, c), x, Vec<T, N>(c[I]));
  }
}

/// x = n·ln 2 + r + c with |r| <= ln2/2 and c what r lost by rounding. Needs |n| < 2^(mantissa−2).
template <class T, int N>
struct ExpReduction {
  using V = Vec<T, N>;
  using U = typename V::Uint;
  using E = Elementary<T>;
  V n, r, c;
  U bits;  // n modulo 2^(mantissa−1) in the low bits, something else above

  TANDEM_ALWAYS_INLINE explicit ExpReduction(V x) {
    // Adding 1.5·2^mantissa leaves n, rounded, in the low bits.
    const V magic(T(1.5) * E::two_to_mantissa);
    const V shifted = fma(x, V(E::log2_e), magic);
    bits = bit_cast<U>(shifted);
    n = shifted - magic;
    const V high = fma(n, V(-E::ln2_high), x);  // exact: n·ln2_high fits the mantissa
    r = fma(n, V(-E::ln2_low), high);
    c = fma(n, V(-E::ln2_low), high - r);
  }

  /// e^r − 1 without c.
  TANDEM_ALWAYS_INLINE V expm1_r() const { return fma(r * r, polynomial(r, E::exp_tail), r); }
  /// e^(r+c) − 1.
  TANDEM_ALWAYS_INLINE V expm1_rc() const { return fma(r * r, polynomial(r, E::exp_tail), c) + r; }

  /// 2^k for the low bits of an integer k, normal numbers only; what is above them is shifted out.
  static TANDEM_ALWAYS_INLINE V power_of_two(U k) {
    return bit_cast<V>((k + U(E::bias)) << E::mantissa);
  }
  /// y·2^n, in two steps because 2^n itself may be out of range; the first one is exact.
  TANDEM_ALWAYS_INLINE V scale(V y) const {
    const U half = bits >> 1;
    return (y * power_of_two(half)) * power_of_two(bits - half);
  }
};

/// min(high, max(low, x)) that keeps NaN.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> clamp(Vec<T, N> x, T low, T high) {
  return min(Vec<T, N>(high), max(Vec<T, N>(low), x));
}

/// x = 2^k·(1 + f), √½ <= 1 + f < √2, for normal x > 0.
template <class T, int N>
struct LogReduction {
  using V = Vec<T, N>;
  using U = typename V::Uint;
  using E = Elementary<T>;
  V k, f;

  TANDEM_ALWAYS_INLINE explicit LogReduction(V x) {
    constexpr typename E::Bits one = E::bias << E::mantissa;
    const U bits = bit_cast<U>(x) + U(one - E::sqrt_half);
    // An integer e written into the mantissa of 2^mantissa makes the number 2^mantissa + e.
    const U as_number = (bits >> E::mantissa) | bit_cast<U>(V(E::two_to_mantissa));
    k = bit_cast<V>(as_number) - V(E::two_to_mantissa + static_cast<T>(E::bias));
    const U fraction = (bits & U((typename E::Bits{1} << E::mantissa) - 1)) + U(E::sqrt_half);
    f = bit_cast<V>(fraction) - V(T(1));
  }

  /// log x + c for a small correction c: with s = f/(2+f), log(1+f) = 2s + s³·L(s²)
  /// = f − f²/2 + s·(f²/2 + s²·L(s²)), where the leading f is exact.
  TANDEM_ALWAYS_INLINE V log(V c) const {
    const V s = f / (f + V(T(2)));
    const V z = s * s;
    const V half_square = V(T(0.5)) * f * f;
    const V tail = s * fma(z, polynomial(z, E::log_tail), half_square);
    return fma(k, V(E::ln2_high), f - (half_square - (tail + fma(k, V(E::ln2_low), c))));
  }
};

/// x = n·π/2 + r + c with |r| <= π/4 and c what r lost by rounding; quadrant = n modulo 2³¹. Needs
/// |x| < trigonometric_limit. Products of n and parts of π/2 are exact but for the last part's, and
/// so are the differences before it.
template <class T, int N>
struct QuadrantReduction {
  using V = Vec<T, N>;
  using U = typename V::Uint;
  V r, c;
  U quadrant;

  TANDEM_ALWAYS_INLINE explicit QuadrantReduction(V x) {
    if constexpr (sizeof(T) == 4) {
      // In double: no float is closer than 2^−30 to a multiple, but for those near 0.
      Vec<float, N / 2> r0, r1, c0, c1;
      Vec<std::int32_t, N / 2> n0, n1;
      in_double(x.low(), r0, c0, n0);
      in_double(x.high(), r1, c1, n1);
      r = join(r0, r1);
      c = join(c0, c1);
      quadrant = bit_cast<U>(join(n0, n1));
    } else {
      const V magic(0x1.8p52), shifted = fma(x, V(two_over_pi), magic), n = shifted - magic;
      quadrant = bit_cast<U>(shifted);
      // 33 + 32 + 33 bits, and 53 more: no double below 2²⁰ is closer than 2^−62 to a multiple.
      V lost, more;
      V rest = difference(x - n * V(0x1.921fb544p+0), n * V(0x1.0b4611a6p-34), lost);
      rest = difference(rest, n * V(0x1.3198a2ep-69), more);
      const V tail = (lost + more) - n * V(0x1.b839a252049c1p-104);
      r = rest + tail;
      c = (rest - r) + tail;
    }
  }

 private:
  static constexpr double two_over_pi = 0x1.45f306dc9c883p-1;

  template <int M>
  static TANDEM_ALWAYS_INLINE void in_double(Vec<float, M> x, Vec<float, M>& r, Vec<float, M>& c,
                                             Vec<std::int32_t, M>& quadrant) {
    using D = Vec<double, M>;
    const D wide = convert<double>(x), magic(0x1.8p52);
    const D n = fma(wide, D(two_over_pi), magic) - magic;
    const D rest = (wide - n * D(0x1.921fb54p+0)) - n * D(0x1.10b4611a62633p-30);
    r = convert<float>(rest);
    c = convert<float>(rest - convert<double>(r));
    quadrant = convert<std::int32_t>(n);
  }
  /// a − b rounded, and what that lost.                            [Knuth 1969, section 4.2.2]
  static TANDEM_ALWAYS_INLINE V difference(V a, V b, V& lost) {
    const V d = a - b, minus_b = d - a;
    lost = (a - (d - minus_b)) - (b + minus_b);
    return d;
  }
};

/// y[i] = sin x[i] (shift = 0) or cos x[i] (shift = 1) by the C library, where x[i] is beyond the
/// limit. (Not inlined: compiled once for all instruction sets.)
template <class T>
TANDEM_NOINLINE void sine_beyond_limit(T* y, const T* x, int n, int shift) {
  constexpr T limit = Elementary<T>::trigonometric_limit;
  for (int i = 0; i < n; ++i) {
    if (x[i] > -limit && x[i] < limit) continue;
    if constexpr (sizeof(T) == 4) {
      y[i] = shift == 0 ? __builtin_sinf(x[i]) : __builtin_cosf(x[i]);
    } else {
      y[i] = shift == 0 ? __builtin_sin(x[i]) : __builtin_cos(x[i]);
    }
  }
}

/// sin (shift = 0) or cos (shift = 1) of x.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> sine(Vec<T, N> x, int shift) {
  using E = Elementary<T>;
  using V = Vec<T, N>;
  using U = typename V::Uint;
  const V one(T(1)), half(T(0.5)), zero(T(0));
  const auto inside = abs(x) < V(E::trigonometric_limit);
  const QuadrantReduction<T, N> e(select(inside, x, zero));
  const V z = e.r * e.r;
  const V sine = fma(e.r * z, polynomial(z, E::sin_tail), e.c) + e.r;
  const V half_square = half * z, top = one - half_square;  // 1 − r²/2, whose rounding is known
  const V cosine =
      top + (((one - top) - half_square) + (z * z * polynomial(z, E::cos_tail) - e.r * e.c));
  const U quarter = e.quadrant + U(static_cast<typename U::value_type>(shift));
  const auto odd = mask_cast<T>((quarter & U(1)) != U(0));
  const U sign = (quarter & U(2)) << static_cast<int>(sizeof(T) * 8 - 2);
  V y = bit_cast<V>(bit_cast<U>(select(odd, cosine, sine)) ^ sign);
  if (shift == 0) y = select(x == zero, x, y);  // −0 stays
  if (!inside.all()) [[unlikely]] {
    T from[extent(N)], to[extent(N)];
    x.store(from);
    y.store(to);
    sine_beyond_limit(to, from, N, shift);
    y = V::load(to);
  }
  return y;
}

}  // namespace detail

/// e^x.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> exp(Vec<T, N> x) {
  using E = detail::Elementary<T>;
  const detail::ExpReduction<T, N> e(detail::clamp(x, E::exp_low, E::exp_high));
  return e.scale(e.expm1_r() + Vec<T, N>(T(1)));
}

/// e^x where it is a normal number, in three quarters of exp's time and with its bits; 2^−126
/// (double:
/// 2^−1022) instead of anything smaller, so also at −∞. For weights beside a largest one of 1. x <
/// 88 (709).
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> exp_normal(Vec<T, N> x) {
  using V = Vec<T, N>;
  const detail::ExpReduction<T, N> e(max(V(detail::Elementary<T>::exp_normal_low), x));
  return (e.expm1_r() + V(T(1))) * e.power_of_two(e.bits);
}

/// e^x − 1, accurate near 0.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> expm1(Vec<T, N> x) {
  using E = detail::Elementary<T>;
  using V = Vec<T, N>;
  using U = typename V::Uint;
  const detail::ExpReduction<T, N> e(detail::clamp(x, E::expm1_low, E::exp_high));
  // 2^n·e^r − 1 = 2^n·((e^r − 1) + (1 − 2^−n)); from n = 100 on, 2^−n is nothing beside 1.
  const V inverse = select(e.n < V(T(100)), e.power_of_two(U(0) - e.bits), V(T(0)));
  return copysign(e.scale(e.expm1_rc() + (V(T(1)) - inverse)), x);
}

/// Natural logarithm; −∞ at ±0, NaN below.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> log(Vec<T, N> x) {
  using E = detail::Elementary<T>;
  using V = Vec<T, N>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const auto tiny = x < V(std::numeric_limits<T>::min());
  detail::LogReduction<T, N> l(select(tiny, x * V(E::two_to_mantissa), x));
  l.k -= select(tiny, V(static_cast<T>(E::mantissa)), V(T(0)));
  const V y = select(x < V(infinity), l.log(V(T(0))), x);
  const V outside = select(x == V(T(0)), V(-infinity), V(std::numeric_limits<T>::quiet_NaN()));
  return select(x <= V(T(0)), outside, y);
}

/// log(1 + x), accurate near 0; −∞ at −1, NaN below.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> log1p(Vec<T, N> x) {
  using V = Vec<T, N>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const V one(T(1)), zero(T(0));
  const V u = one + x;
  detail::LogReduction<T, N> l(u);
  // log(1 + x) = log u + log(1 + (1 + x − u)/u); the rounding error of u is known exactly.
  const V lost = select(x > one, one - (u - x), x - (u - one)) / u;
  const auto near = l.k == zero;  // then 1 + f = u, but f = x is the better one
  l.f = select(near, x, l.f);
  V y = l.log(select(near, zero, lost));
  y = select(x < V(infinity), y, x);
  const V outside = select(x == -one, V(-infinity), V(std::numeric_limits<T>::quiet_NaN()));
  y = select(x <= -one, outside, y);
  return select(x == zero, x, y);
}

/// tanh x = t/(t + 2) with t = e^(2|x|) − 1, and the sign of x.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> tanh(Vec<T, N> x) {
  using E = detail::Elementary<T>;
  using V = Vec<T, N>;
  using U = typename V::Uint;
  const V a = min(V(E::tanh_high), abs(x));
  const detail::ExpReduction<T, N> e(a + a);
  const V inverse = e.power_of_two(U(0) - e.bits);  // 0 <= n < 60: in range
  const V t = (e.expm1_rc() + (V(T(1)) - inverse)) * e.power_of_two(e.bits);
  const V q = t / (t + V(T(2)));
  // For small t, t/2 − t/2·q rounds fewer times.
  const V half = V(T(0.5)) * t;
  return copysign(select(a < V(T(0.3)), half - half * q, q), x);
}

/// 1/(1 + e^−x), as e^x/(1 + e^x) for negative x, so that small values keep their digits.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> sigmoid(Vec<T, N> x) {
  using V = Vec<T, N>;
  const V e = exp(-abs(x));
  const V q = e / (V(T(1)) + e);
  return select(x < V(T(0)), e - e * q, V(T(1)) - q);
}

/// The error function 2/√π·∫₀ˣ e^(−t²)dt. For float, x + x·P(x²) up to 1 and 1 − e^G(|x|) beyond;
/// for double, the C library's, lane by lane.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> erf(Vec<T, N> x) {
  using V = Vec<T, N>;
  if constexpr (sizeof(T) == 8) {
    V y;
    for (int i = 0; i < N; ++i) y.raw[i] = __builtin_erf(x.raw[i]);
    return y;
  } else {
    constexpr float small[] = {0x1.06eba8p-3F, -0x1.81273ep-2F, 0x1.ce2cf8p-4F, -0x1.b7f90ep-6F,
                               0x1.5405b2p-8F, -0x1.a3f7p-11F,  0x1.496a32p-14F};
    constexpr float large[] = {0x1.8a5752p-13F, -0x1.212c0cp+0F, -0x1.443566p-1F, -0x1.bc1516p-4F,
                               0x1.9d0304p-6F,  -0x1.138cbcp-8F, 0x1.cec6p-12F,   -0x1.6bd7e2p-16F};
    const V a = min(V(4.0F), abs(x));  // erf(4) rounds to 1
    const V inside = fma(x, detail::polynomial(x * x, small), x);
    const detail::ExpReduction<T, N> e(detail::polynomial(a, large));
    const V rest = (e.expm1_r() + V(1.0F)) * e.power_of_two(e.bits);
    return select(a < V(1.0F), inside, copysign(V(1.0F) - rest, x));
  }
}

/// sin x and cos x; NaN at ±∞.
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> sin(Vec<T, N> x) {
  return detail::sine(x, 0);
}
template <class T, int N>
TANDEM_ALWAYS_INLINE Vec<T, N> cos(Vec<T, N> x) {
  return detail::sine(x, 1);
}

}  // namespace cpu
TANDEM_NAMESPACE_END
