#include "tandem/cpu/simd.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "tandem/cpu/isa.hpp"

using namespace tandem::cpu;

namespace {

template <class T>
constexpr T inf = std::numeric_limits<T>::infinity();
template <class T>
constexpr T nan = std::numeric_limits<T>::quiet_NaN();

/// Runs `check` once for every instruction set of this machine and prints which ran.
template <class F>
void on_every_isa(F check) {
  for (const Isa isa : supported_isas()) {
    // The two above avx512 run the same vector code.
    if (isa > Isa::avx512) continue;
    const IsaScope scope(isa);
    CAPTURE(name(isa));
    check();
  }
}

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0 || (a != a && b != b);
}

/// Deterministic values of many magnitudes and both signs.
template <class T>
std::vector<T> values(std::int64_t n, std::uint64_t seed = 1) {
  std::vector<T> v;
  std::uint64_t state = seed;
  for (std::int64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const double u = static_cast<double>(state >> 11) * 0x1p-53;
    v.push_back(static_cast<T>(std::ldexp(2 * u - 1, static_cast<int>(state >> 60) - 6)));
  }
  return v;
}

/// What a lane-by-lane operation must handle.
template <class T>
std::vector<T> awkward() {
  const T big = sizeof(T) == 4 ? T(8388608) : T(4503599627370496);
  std::vector<T> v = {T(0),
                      T(0.5),
                      T(1.5),
                      T(2.5),
                      T(0.49999997),
                      T(3),
                      T(3.7),
                      T(1e-30),
                      inf<T>,
                      std::numeric_limits<T>::max(),
                      big - T(0.5),
                      big,
                      big + T(1),
                      2 * big + 2,
                      std::numeric_limits<T>::min(),
                      T(1e9),
                      T(2147483648.0),
                      std::numeric_limits<T>::denorm_min(),
                      nan<T>};
  const std::size_t n = v.size();
  for (std::size_t i = 0; i < n; ++i) v.push_back(-v[i]);
  return v;
}

/// op<V> on one or two rows, element by element.
template <class Op>
struct Unary {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const typename V::value_type* x, typename V::value_type* y,
                                       std::int64_t n) {
    vec_map<V>(
        n, y, [](V a) TANDEM_INLINE_LAMBDA { return Op::template apply<V>(a); }, x);
  }
};
template <class Op>
struct Binary {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const typename V::value_type* x,
                                       const typename V::value_type* y, typename V::value_type* z,
                                       std::int64_t n) {
    vec_map<V>(
        n, z, [](V a, V b) TANDEM_INLINE_LAMBDA { return Op::template apply<V>(a, b); }, x, y);
  }
};

#define UNARY(Name, expression)                \
  struct Name {                                \
    template <class V>                         \
    static TANDEM_ALWAYS_INLINE V apply(V a) { \
      return expression;                       \
    }                                          \
  };
#define BINARY(Name, expression)                    \
  struct Name {                                     \
    template <class V>                              \
    static TANDEM_ALWAYS_INLINE V apply(V a, V b) { \
      return expression;                            \
    }                                               \
  };
UNARY(Abs, abs(a))
UNARY(Negate, -a)
UNARY(Floor, floor(a))
UNARY(Ceil, ceil(a))
UNARY(Trunc, trunc(a))
UNARY(Round, round_even(a))
UNARY(Sqrt, sqrt(a))
UNARY(IsNan, select(isnan(a), V(1), V(0)))
BINARY(Add, a + b)
BINARY(Sub, a - b)
BINARY(Mul, a* b)
BINARY(Div, a / b)
BINARY(Min, min(a, b))
BINARY(Max, max(a, b))
BINARY(MaxNan, max_nan(a, b))
BINARY(CopySign, copysign(a, b))
BINARY(Less, select(a < b, V(1), V(0)))
BINARY(LessEqual, select(a <= b, V(1), V(0)))
BINARY(Greater, select(a > b, V(1), V(0)))
BINARY(GreaterEqual, select(a >= b, V(1), V(0)))
BINARY(Equal, select(a == b, V(1), V(0)))
BINARY(NotEqual, select(a != b, V(1), V(0)))
BINARY(Both, select((a > V(1)) & (b > V(1)), a, b))
BINARY(Either, select((a > V(1)) | (b > V(1)), a, b))
BINARY(Neither, select(~((a > V(1)) | ~(b <= V(1))), a, b))

template <class Op, class T, class F>
void check_unary(const char* what, F expected) {
  INFO(what);
  const std::vector<T> x = awkward<T>();
  std::vector<T> y(x.size());
  simd_dispatch<Unary<Op>, T>(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    CAPTURE(x[i]);
    CAPTURE(y[i]);
    CHECK(same_bits(y[i], static_cast<T>(expected(x[i]))));
  }
}

template <class Op, class T, class F>
void check_binary(const char* what, F expected) {
  INFO(what);
  std::vector<T> x, y;
  for (const T a : awkward<T>()) {
    for (const T b : awkward<T>()) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  std::vector<T> z(x.size());
  simd_dispatch<Binary<Op>, T>(x.data(), y.data(), z.data(), static_cast<std::int64_t>(x.size()));
  int wrong = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (same_bits(z[i], static_cast<T>(expected(x[i], y[i])))) continue;
    if (++wrong == 1) MESSAGE(x[i], " ", y[i], " gave ", z[i]);
  }
  CHECK(wrong == 0);
}

template <class T>
void check_lanes() {
  check_unary<Abs, T>("abs", [](T a) { return std::fabs(a); });
  check_unary<Negate, T>("negate", [](T a) { return -a; });
  check_unary<Floor, T>("floor", [](T a) { return std::floor(a); });
  check_unary<Ceil, T>("ceil", [](T a) { return std::ceil(a); });
  check_unary<Trunc, T>("trunc", [](T a) { return std::trunc(a); });
  check_unary<Round, T>("round", [](T a) { return std::nearbyint(a); });
  check_unary<Sqrt, T>("sqrt", [](T a) { return std::sqrt(a); });
  check_unary<IsNan, T>("isnan", [](T a) { return std::isnan(a) ? 1 : 0; });
  check_binary<Add, T>("add", [](T a, T b) { return a + b; });
  check_binary<Sub, T>("sub", [](T a, T b) { return a - b; });
  check_binary<Mul, T>("mul", [](T a, T b) { return a * b; });
  check_binary<Div, T>("div", [](T a, T b) { return a / b; });
  check_binary<Min, T>("min", [](T a, T b) { return a < b ? a : b; });
  check_binary<Max, T>("max", [](T a, T b) { return a > b ? a : b; });
  check_binary<MaxNan, T>("max_nan", [](T a, T b) { return a > b || a != a ? a : b; });
  check_binary<CopySign, T>("copysign", [](T a, T b) { return std::copysign(a, b); });
  check_binary<Less, T>("<", [](T a, T b) { return a < b ? 1 : 0; });
  check_binary<LessEqual, T>("<=", [](T a, T b) { return a <= b ? 1 : 0; });
  check_binary<Greater, T>(">", [](T a, T b) { return a > b ? 1 : 0; });
  check_binary<GreaterEqual, T>(">=", [](T a, T b) { return a >= b ? 1 : 0; });
  check_binary<Equal, T>("==", [](T a, T b) { return a == b ? 1 : 0; });
  check_binary<NotEqual, T>("!=", [](T a, T b) { return a != b ? 1 : 0; });
  check_binary<Both, T>("both", [](T a, T b) { return a > 1 && b > 1 ? a : b; });
  check_binary<Either, T>("either", [](T a, T b) { return a > 1 || b > 1 ? a : b; });
  check_binary<Neither, T>("neither", [](T a, T b) { return !(a > 1) && b <= 1 ? a : b; });
}

struct Width {
  template <class V>
  static TANDEM_ALWAYS_INLINE int run() {
    return V::size;
  }
};

/// Moves the first n elements with one partial load and store for each n.
struct Partial {
  template <class V, class T = typename V::value_type>
  static TANDEM_ALWAYS_INLINE void run(const T* x, T* y, T* lanes, std::int64_t n) {
    const V v = V::load_partial(x, n);
    v.store_partial(y, n);
    v.store(lanes);
  }
};

template <class T>
void check_partial() {
  const int width = simd_dispatch<Width, T>();
  for (int n = 0; n <= width; ++n) {
    // Exactly n elements on the heap, so that AddressSanitizer sees a read or write beyond them.
    std::vector<T> x(static_cast<std::size_t>(n)), y(static_cast<std::size_t>(n), T(99));
    std::vector<T> lanes(static_cast<std::size_t>(width), T(99));
    for (int i = 0; i < n; ++i) x[static_cast<std::size_t>(i)] = static_cast<T>(i + 1);
    simd_dispatch<Partial, T>(x.data(), y.data(), lanes.data(), static_cast<std::int64_t>(n));
    CHECK(x == y);
    for (int i = 0; i < width; ++i) {
      CHECK(lanes[static_cast<std::size_t>(i)] == static_cast<T>(i < n ? i + 1 : 0));
    }
    // With room behind, what stands there stays.
    std::vector<T> roomy(static_cast<std::size_t>(2 * width), T(77));
    x.resize(static_cast<std::size_t>(2 * width), T(55));
    simd_dispatch<Partial, T>(x.data(), roomy.data(), lanes.data(), static_cast<std::int64_t>(n));
    for (int i = 0; i < 2 * width; ++i) {
      CHECK(roomy[static_cast<std::size_t>(i)] == static_cast<T>(i < n ? i + 1 : 77));
    }
  }
}

struct Sums {
  template <class V, class T = typename V::value_type>
  static TANDEM_ALWAYS_INLINE void run(const T* x, const T* y, T centre, std::int64_t n, T* out) {
    out[0] = row_sum<V>(x, n);
    out[1] = row_dot<V>(x, y, n);
    out[2] = row_sum_squares<V>(x, n);
    out[3] = row_sum_squares_around<V>(x, centre, n);
    out[4] = row_max<V>(x, n);
  }
};

template <class T>
void check_reductions() {
  constexpr T eps = std::numeric_limits<T>::epsilon();
  for (const std::int64_t n :
       {0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 77, 129, 197, 256, 1009}) {
    const std::vector<T> x = values<T>(n, 3), y = values<T>(n, 4);
    const T centre = T(0.25);
    using Wide = long double;
    Wide sum = 0, dot = 0, squares = 0, around = 0, sum_abs = 0, dot_abs = 0;
    T largest = -inf<T>;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Wide a = static_cast<Wide>(x[i]), b = static_cast<Wide>(y[i]);
      const Wide d = a - static_cast<Wide>(centre);
      sum += a;
      sum_abs += std::fabs(a);
      dot += a * b;
      dot_abs += std::fabs(a * b);
      squares += a * a;
      around += d * d;
      largest = std::max(largest, x[i]);
    }
    T out[5] = {};
    simd_dispatch<Sums, T>(x.data(), y.data(), centre, n, out);
    CAPTURE(n);
    // Adding k numbers in any order is off by at most (k−1)·ε/2·Σ|terms| to first order; a term
    // adds up to three roundings of its own (difference, twice the error when squared, product).
    const Wide k = static_cast<Wide>(n + 3) * static_cast<Wide>(eps) / 2 * 1.01L;
    CHECK(std::fabs(static_cast<Wide>(out[0]) - sum) <= k * sum_abs);
    CHECK(std::fabs(static_cast<Wide>(out[1]) - dot) <= k * dot_abs);
    CHECK(std::fabs(static_cast<Wide>(out[2]) - squares) <= k * squares);
    CHECK(std::fabs(static_cast<Wide>(out[3]) - around) <= k * around);
    CHECK(out[4] == largest);

    T again[5] = {};
    simd_dispatch<Sums, T>(x.data(), y.data(), centre, n, again);
    CHECK(std::memcmp(out, again, sizeof(out)) == 0);

    // Wherever a NaN or an infinity stands, the results know of it.
    for (std::int64_t at = 0; at < n; at += 1 + n / 8) {
      std::vector<T> bad = x;
      bad[static_cast<std::size_t>(at)] = nan<T>;
      simd_dispatch<Sums, T>(bad.data(), y.data(), centre, n, again);
      for (const T result : again) CHECK(std::isnan(result));
      bad[static_cast<std::size_t>(at)] = inf<T>;
      simd_dispatch<Sums, T>(bad.data(), y.data(), centre, n, again);
      CHECK(again[4] == inf<T>);
      bad.assign(bad.size(), -inf<T>);
      simd_dispatch<Sums, T>(bad.data(), y.data(), centre, n, again);
      CHECK(again[4] == -inf<T>);
    }
  }
}

/// A sum in which any padding lane would show: 1 − 0·x is 1 everywhere.
struct CountOnes {
  template <class V, class T = typename V::value_type>
  static TANDEM_ALWAYS_INLINE T run(const T* x, std::int64_t n) {
    return vec_sum<V>(
        n, [](V a) TANDEM_INLINE_LAMBDA { return V(T(1)) - a * V(T(0)); }, x);
  }
};

struct ToBf16 {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* x, std::uint16_t* y, std::int64_t n) {
    for_each_vec<V>(n, [&](std::int64_t i, std::int64_t count) TANDEM_INLINE_LAMBDA {
      to_bf16(V::load_partial(x + i, count)).store_partial(y + i, count);
    });
  }
};
struct FromBf16 {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const std::uint16_t* x, float* y, std::int64_t n) {
    using H = typename V::template As<std::uint16_t>;
    for_each_vec<V>(n, [&](std::int64_t i, std::int64_t count) TANDEM_INLINE_LAMBDA {
      from_bf16(H::load_partial(x + i, count)).store_partial(y + i, count);
    });
  }
};

/// The two bfloat16 neighbours of x, chosen by exact comparison instead of by bit tricks.
std::uint16_t nearest_bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const auto widen = [](std::uint32_t upper) {
    const std::uint32_t wide = upper << 16;
    float f;
    std::memcpy(&f, &wide, 4);
    return static_cast<double>(f);
  };
  const std::uint32_t down = bits >> 16, up = down + 1;  // towards zero and away from it
  const double exact = static_cast<double>(x);
  // Overflow rounds as if the exponent range went on: the next number would be ±2^128.
  const double above = std::isinf(widen(up)) ? std::copysign(0x1p128, exact) : widen(up);
  const double below = std::fabs(exact - widen(down)), over = std::fabs(above - exact);
  if (std::isinf(x) || below < over) return static_cast<std::uint16_t>(down);
  if (over < below) return static_cast<std::uint16_t>(up);
  return static_cast<std::uint16_t>((down & 1) == 0 ? down : up);
}

struct Integers {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* x, std::int32_t* to_int, float* back,
                                       std::uint32_t* shifts, std::int32_t* arithmetic,
                                       std::int64_t n) {
    using I = typename V::Int;
    using U = typename V::Uint;
    for_each_vec<V>(n, [&](std::int64_t i, std::int64_t count) TANDEM_INLINE_LAMBDA {
      const I truncated = convert<std::int32_t>(V::load_partial(x + i, count));
      truncated.store_partial(to_int + i, count);
      convert<float>(truncated).store_partial(back + i, count);
      const U bits = bit_cast<U>(truncated);
      (((bits << 3) ^ (bits >> 5)) | ~U(0xffffU)).store_partial(shifts + i, count);
      (truncated >> 2).store_partial(arithmetic + i, count);
    });
  }
};

struct AnyAll {
  template <class V>
  static TANDEM_ALWAYS_INLINE int run(const float* x) {
    const auto above = V::load(x) > V(0.0F);
    return (above.any() ? 1 : 0) + (above.all() ? 2 : 0);
  }
};

struct Widen {  // twice as many bytes as a register: compilers split it
  template <class V>
  static TANDEM_ALWAYS_INLINE double run(const float* x, std::int64_t n) {
    using D = typename V::template As<double>;
    D sum(0.0);
    for (std::int64_t i = 0; i + V::size <= n; i += V::size) sum += convert<double>(V::load(x + i));
    return reduce_sum(sum);
  }
};

struct Halves {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* x, float* y) {
    const V v = V::load(x);
    join(v.high(), v.low()).store(y);
  }
};

struct WideRoot {  // vectors that no register holds, and rests of them
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const double* x, double* y, std::int64_t n) {
    vec_map<typename V::template As<double>>(
        n, y, [](typename V::template As<double> a) TANDEM_INLINE_LAMBDA { return sqrt(a); }, x);
  }
};

struct FirstLanes {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t n, float* y) {
    select(Mask<float, V::size>::first(n), V::iota(), V(-1.0F)).store(y);
  }
};

struct Fused {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* a, const float* b, const float* c, float* y,
                                       std::int64_t n) {
    vec_map<V>(
        n, y, [](V p, V q, V r) TANDEM_INLINE_LAMBDA { return fma(p, q, r); }, a, b, c);
  }
};

}  // namespace

TEST_CASE("simd: the vector width follows the instruction set") {
  std::string ran;
  for (const Isa isa : supported_isas()) {
    const IsaScope scope(isa);
    const int bytes = isa >= Isa::avx512 ? 64 : isa >= Isa::avx2 ? 32 : 16;
    CHECK(simd_dispatch<Width, float>() == bytes / 4);
    CHECK(simd_dispatch<Width, double>() == bytes / 8);
    CHECK(simd_dispatch<Width, std::uint16_t>() == bytes / 2);
    ran += std::string(" ") + name(isa);
  }
  MESSAGE("instruction sets tested:", ran);
}

TEST_CASE("simd: lane operations agree with the scalar ones, awkward values included") {
  on_every_isa([] {
    check_lanes<float>();
    check_lanes<double>();
  });
}

TEST_CASE("simd: partial loads and stores touch exactly n elements") {
  on_every_isa([] {
    check_partial<float>();
    check_partial<double>();
    check_partial<std::int32_t>();
    check_partial<std::int64_t>();
    check_partial<std::uint16_t>();
  });
}

TEST_CASE("simd: reductions are within their rounding bound, repeatable and see NaN") {
  on_every_isa([] {
    check_reductions<float>();
    check_reductions<double>();
    for (std::int64_t n = 0; n < 100; ++n) {
      const std::vector<float> x(static_cast<std::size_t>(n), 5.0F);
      CHECK(simd_dispatch<CountOnes, float>(x.data(), n) == static_cast<float>(n));
    }
  });
}

TEST_CASE("simd: bfloat16 rounds to nearest even, widens exactly and keeps NaN") {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  // Every bfloat16 and, above each, the floats around the halfway point.
  std::vector<float> x;
  for (std::uint32_t upper = 0; upper < 65536; ++upper) {
    for (const std::uint32_t lower : {0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      const std::uint32_t bits = (upper << 16) | lower;
      float f;
      std::memcpy(&f, &bits, 4);
      x.push_back(f);
    }
  }
  on_every_isa([&] {
    std::vector<float> wide(all.size());
    simd_dispatch<FromBf16, float>(all.data(), wide.data(), static_cast<std::int64_t>(all.size()));
    int wrong = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, &wide[i], 4);
      wrong += bits != static_cast<std::uint32_t>(i) << 16 ? 1 : 0;
    }
    CHECK(wrong == 0);

    std::vector<std::uint16_t> narrow(x.size());
    simd_dispatch<ToBf16, float>(x.data(), narrow.data(), static_cast<std::int64_t>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool is_nan = (narrow[i] & 0x7fff) > 0x7f80;
      const bool same_sign = ((narrow[i] & 0x8000) != 0) == std::signbit(x[i]);
      const bool right = std::isnan(x[i]) ? is_nan && same_sign : narrow[i] == nearest_bf16(x[i]);
      wrong += right ? 0 : 1;
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("simd: integers, masks and wider types") {
  on_every_isa([] {
    std::vector<float> x;
    for (int i = -100; i < 100; ++i) x.push_back(static_cast<float>(i) * 1234.75F);
    x.push_back(-2147483648.0F);
    x.push_back(2147483520.0F);
    const std::size_t n = x.size();
    std::vector<std::int32_t> to_int(n), arithmetic(n);
    std::vector<float> back(n);
    std::vector<std::uint32_t> shifts(n);
    simd_dispatch<Integers, float>(x.data(), to_int.data(), back.data(), shifts.data(),
                                   arithmetic.data(), static_cast<std::int64_t>(n));
    for (std::size_t i = 0; i < n; ++i) {
      const std::int32_t expected = static_cast<std::int32_t>(x[i]);
      const std::uint32_t bits = static_cast<std::uint32_t>(expected);
      CHECK(to_int[i] == expected);
      CHECK(back[i] == static_cast<float>(expected));
      CHECK(shifts[i] == (((bits << 3) ^ (bits >> 5)) | 0xffff0000U));
      CHECK(arithmetic[i] == expected >> 2);
    }

    const int width = simd_dispatch<Width, float>();
    std::vector<float> row(static_cast<std::size_t>(width), -1.0F);
    CHECK(simd_dispatch<AnyAll, float>(row.data()) == 0);
    for (float& f : row) {
      f = 1.0F;
      const bool last = &f == &row.back();
      CHECK(simd_dispatch<AnyAll, float>(row.data()) == (last ? 3 : 1));
    }
    for (int count = 0; count <= width + 1; ++count) {
      simd_dispatch<FirstLanes, float>(static_cast<std::int64_t>(count), row.data());
      for (int i = 0; i < width; ++i) {
        CHECK(row[static_cast<std::size_t>(i)] == (i < count ? static_cast<float>(i) : -1.0F));
      }
    }
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i);
    std::vector<float> swapped(row.size());
    simd_dispatch<Halves, float>(row.data(), swapped.data());
    for (std::size_t i = 0; i < row.size(); ++i) {
      CHECK(swapped[i] == row[(i + row.size() / 2) % row.size()]);
    }
    for (std::size_t count = 0; count < 40; ++count) {
      std::vector<double> squares, roots(count);
      for (std::size_t i = 0; i < count; ++i) squares.push_back(static_cast<double>(i) / 3);
      simd_dispatch<WideRoot, float>(squares.data(), roots.data(),
                                     static_cast<std::int64_t>(count));
      for (std::size_t i = 0; i < count; ++i) CHECK(roots[i] == std::sqrt(squares[i]));
    }
    const std::vector<float> large(1024, 16777217.0F / 3);
    CHECK(simd_dispatch<Widen, float>(large.data(), std::int64_t{1024}) ==
          1024 * static_cast<double>(large[0]));
  });
}

TEST_CASE("simd: fma rounds once or twice, nothing else") {
  const std::vector<float> a = values<float>(1000, 5), b = values<float>(1000, 6),
                           c = values<float>(1000, 7);
  on_every_isa([&] {
    std::vector<float> y(a.size());
    simd_dispatch<Fused, float>(a.data(), b.data(), c.data(), y.data(), std::int64_t{1000});
    for (std::size_t i = 0; i < y.size(); ++i) {
      volatile float product = a[i] * b[i];  // rounded on its own
      const float twice = product + c[i];
      CHECK((y[i] == std::fma(a[i], b[i], c[i]) || y[i] == twice));
    }
  });
}
