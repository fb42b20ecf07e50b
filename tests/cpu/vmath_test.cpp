#include "tandem/cpu/vmath.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "tandem/cpu/isa.hpp"

using namespace tandem::cpu;

namespace {

template <class T>
constexpr T inf = std::numeric_limits<T>::infinity();
template <class T>
constexpr T nan = std::numeric_limits<T>::quiet_NaN();

/// A function under test, and the same from the C library in a wider type W.
#define FUNCTION(Name, ours, wide)                                           \
  struct Name {                                                              \
    template <class V, class T = typename V::value_type>                     \
    static TANDEM_ALWAYS_INLINE void run(const T* x, T* y, std::int64_t n) { \
      vec_map<V>(                                                            \
          n, y, [](V a) TANDEM_INLINE_LAMBDA { return ours(a); }, x);        \
    }                                                                        \
    template <class W>                                                       \
    static W reference(W x) {                                                \
      return wide;                                                           \
    }                                                                        \
    [[maybe_unused]] static constexpr const char* name = #ours;              \
  };
FUNCTION(Exp, exp, std::exp(x))
FUNCTION(ExpNormal, exp_normal, std::exp(x))
FUNCTION(Expm1, expm1, std::expm1(x))
FUNCTION(Log, log, std::log(x))
FUNCTION(Log1p, log1p, std::log1p(x))
FUNCTION(Tanh, tanh, std::tanh(x))
FUNCTION(Sigmoid, sigmoid, x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)))
FUNCTION(Erf, erf, std::erf(x))
FUNCTION(Sin, sin, std::sin(x))
FUNCTION(Cos, cos, std::cos(x))

template <class T>
using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;

/// |got − exact| in units of the last place that T has at `exact`, subnormal numbers included.
/// Infinite where one of them is NaN or infinite and the other is not.
template <class T>
double ulps(T got, Wide<T> exact) {
  using L = std::numeric_limits<T>;
  if (std::isnan(exact)) return std::isnan(got) ? 0 : inf<double>;
  const T nearest = static_cast<T>(exact);
  if (std::isinf(nearest) || std::isinf(got)) return got == nearest ? 0 : inf<double>;
  if (exact == 0) return got == 0 && std::signbit(got) == std::signbit(exact) ? 0 : inf<double>;
  int exponent = 0;
  static_cast<void>(std::frexp(exact, &exponent));
  if (exponent < L::min_exponent) exponent = L::min_exponent;
  const Wide<T> unit = std::ldexp(Wide<T>(1), exponent - L::digits);
  return static_cast<double>(std::fabs(static_cast<Wide<T>>(got) - exact) / unit);
}

/// Arguments of every magnitude: for float an even grid over all bit patterns, for double random
/// ones; and a dense, random share where the functions are neither constant nor infinite.
template <class T>
std::vector<T> arguments() {
  std::vector<T> x;
  std::uint64_t state = 42;
  const auto random = [&state] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state ^ (state >> 31);
  };
  for (std::uint32_t i = 0; i < 300007; ++i) {
    T value;
    if constexpr (sizeof(T) == 4) {
      const std::uint32_t bits = i * 14315U;  // 300007 · 14315 is just below 2^32
      std::memcpy(&value, &bits, sizeof(T));
    } else {
      const std::uint64_t bits = random();
      std::memcpy(&value, &bits, sizeof(T));
    }
    x.push_back(value);
  }
  for (int i = 0; i < 300007; ++i) {
    const double u = 2 * (static_cast<double>(random() >> 11) * 0x1p-53) - 1;
    x.push_back(static_cast<T>(std::ldexp(u, i % 24 - 12)));  // up to ±2048
  }
  return x;
}

/// Checks every result on the instruction set in force and returns the largest error.
template <class Function, class T>
double worst_error(const std::vector<T>& x) {
  std::vector<T> y(x.size());
  simd_dispatch<Function, T>(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
  double worst = 0;
  T at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps<T>(y[i], Function::reference(static_cast<Wide<T>>(x[i])));
    if (error > worst) {
      worst = error;
      at = x[i];
    }
  }
  CAPTURE(at);
  CHECK(worst < inf<double>);
  return worst;
}

template <class Function, class T>
void check_accuracy(const std::vector<T>& x, double bound) {
  for (const Isa isa : supported_isas()) {
    if (isa > Isa::avx512) continue;  // the same vector code
    const IsaScope scope(isa);
    const double worst = worst_error<Function>(x);
    INFO(Function::name, sizeof(T) == 4 ? " float " : " double ", name(isa), ": ", worst, " ulp");
    CHECK(worst <= bound);
    CHECK(worst >= 0.49);  // the measure works: nothing over so many arguments rounds better
  }
}

/// Values at special points and around thresholds, with the sign of zeros.
template <class Function, class T>
void check_special() {
  using L = std::numeric_limits<T>;
  std::vector<T> x = {0,         T(1),         inf<T>,   nan<T>, L::min(),  L::denorm_min(),
                      L::max(),  L::epsilon(), T(0.5),   T(2),   T(3.9375), T(17.5),
                      T(88.75),  T(103.96875), T(104.5), T(37),  T(709.75), T(709.8),
                      T(745.25), T(1e10)};
  x.push_back(static_cast<T>(std::log(L::max())));
  x.push_back(std::nextafter(x.back(), inf<T>));
  x.push_back(std::nextafter(T(1), T(0)));
  x.push_back(std::nextafter(T(1), T(2)));
  const std::size_t n = x.size();
  for (std::size_t i = 0; i < n; ++i) x.push_back(-x[i]);
  std::vector<T> y(x.size());
  for (const Isa isa : supported_isas()) {
    const IsaScope scope(isa);
    simd_dispatch<Function, T>(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) {
      INFO(Function::name, "(", x[i], ") = ", y[i], " on ", name(isa));
      CHECK(ulps<T>(y[i], Function::reference(static_cast<Wide<T>>(x[i]))) <= 2);
    }
  }
}

/// Where an element stands, in a full vector or in the rest at the end, does not change its bits.
template <class Function, class T>
void check_positions() {
  std::vector<T> x(67), all(67), part(67);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i) * T(0.37) - T(9.1);
  for (const Isa isa : supported_isas()) {
    const IsaScope scope(isa);
    simd_dispatch<Function, T>(x.data(), all.data(), std::int64_t{67});
    for (std::size_t start = 0; start < x.size(); ++start) {
      part.assign(part.size(), T(-77));
      simd_dispatch<Function, T>(x.data() + start, part.data(),
                                 static_cast<std::int64_t>(67 - start));
      CHECK(std::memcmp(part.data(), all.data() + start, (67 - start) * sizeof(T)) == 0);
      if (start > 0) CHECK(part[67 - start] == T(-77));
    }
  }
}

template <class Function>
void check_all(double float_bound, double double_bound, const std::vector<float>& xf,
               const std::vector<double>& xd) {
  check_accuracy<Function, float>(xf, float_bound);
  check_accuracy<Function, double>(xd, double_bound);
  check_special<Function, float>();
  check_special<Function, double>();
  check_positions<Function, float>();
  check_positions<Function, double>();
}

}  // namespace

// The bounds, in ulp of the result, to first order; u is half an ulp at the upper end of a binade
// and a whole one at the lower end, so an error relative to a summand near the result counts at
// most twice.
//   exp      last addition ½; r carries ½ ulp(ln2/2)/2 = ¼; r + r²q rounds like that too; the
//   scaled
//            result rounds only when subnormal: 1
//   log      k·ln2_high + …: last addition ½, f − (…) ¼: below 1; log1p adds the division of the
//            rounding error of 1 + x, 2^−24 of it: below 1
//   expm1    as exp, and beside n ln2 the −2^−n cancels up to one bit: 1¾
//   tanh     e^2x − 1 counts with weight 2/(t+2), the addition ½ and the division ½ relative to a
//            result that may be at the upper end of its binade: 2
//   sigmoid  e counts with weight 1/(1+e) and up to twice at a binade's end, last subtraction ½: 2
//   erf      float: 1 − e^G with e^G <= 0.16 of relative error 4 ulp, last subtraction ½: 1½;
//            double: the C library's, which documents 1 ulp and shows a little more
//   sin, cos last addition ½; r + c is exact to 2^−10 ulp; what is added to r (a sixth of it at
//            most) or to 1 − r²/2 rounds to below ¼ ulp of the result, twice at a binade's end: 1
TEST_CASE("vmath: errors stay within their bounds on every instruction set") {
  std::string ran;
  for (const Isa isa : supported_isas()) ran += std::string(" ") + name(isa);
  MESSAGE("instruction sets tested:", ran);
  const std::vector<float> xf = arguments<float>();
  const std::vector<double> xd = arguments<double>();
  SUBCASE("exp") { check_all<Exp>(1.0, 1.0, xf, xd); }
  SUBCASE("expm1") { check_all<Expm1>(1.75, 1.75, xf, xd); }
  SUBCASE("log") { check_all<Log>(1.0, 1.0, xf, xd); }
  SUBCASE("log1p") { check_all<Log1p>(1.0, 1.0, xf, xd); }
  SUBCASE("tanh") { check_all<Tanh>(2.0, 2.0, xf, xd); }
  SUBCASE("sigmoid") { check_all<Sigmoid>(2.0, 2.0, xf, xd); }
  SUBCASE("erf") { check_all<Erf>(1.5, 1.5, xf, xd); }
  SUBCASE("sin") { check_all<Sin>(1.0, 1.0, xf, xd); }
  SUBCASE("cos") { check_all<Cos>(1.0, 1.0, xf, xd); }
}

namespace {
/// exp_normal has the bits of exp where that is a normal number, and the smallest one below.
template <class T>
void check_exp_normal(const std::vector<T>& given) {
  constexpr T least = std::numeric_limits<T>::min();
  std::vector<T> x{
      -inf<T>, std::numeric_limits<T>::lowest(), std::log(least) - 1, std::log(least), T(-0.0),
      T(0)};
  for (const T a : given) {
    if (a < (sizeof(T) == 4 ? T(88) : T(709))) x.push_back(a);
  }
  REQUIRE(x.size() > given.size() / 2);
  std::vector<T> exact(x.size()), ours(x.size());
  for (const Isa isa : supported_isas()) {
    const IsaScope scope(isa);
    INFO("instruction set ", name(isa));
    simd_dispatch<Exp, T>(x.data(), exact.data(), static_cast<std::int64_t>(x.size()));
    simd_dispatch<ExpNormal, T>(x.data(), ours.data(), static_cast<std::int64_t>(x.size()));
    std::size_t wrong = 0, small = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      // Beside log(least) the two may fall on either side of it.
      const bool subnormal = exact[i] < least * T(1.001);
      small += subnormal;
      wrong += subnormal ? !(ours[i] >= least && ours[i] <= least * T(1.01)) : ours[i] != exact[i];
    }
    CHECK(wrong == 0);
    CHECK(small >= 3);
    const std::vector<T> broken(40, nan<T>);
    std::vector<T> result(40);
    simd_dispatch<ExpNormal, T>(broken.data(), result.data(), std::int64_t{40});
    for (const T y : result) CHECK(std::isnan(y));
  }
}
}  // namespace

TEST_CASE("vmath: exp_normal") {
  check_exp_normal(arguments<float>());
  check_exp_normal(arguments<double>());
}

namespace {
/// The numbers of T nearest to multiples of π/2, where most digits of x cancel, and their
/// neighbours, on both sides of where the C library takes over.
template <class T>
std::vector<T> near_multiples() {
  std::vector<T> x;
  for (std::int64_t k = 1; k < (std::int64_t{1} << 25); k += k < 3000 ? 1 : k / 3000) {
    const T near = static_cast<T>(static_cast<long double>(k) * 1.57079632679489661923L);
    for (const T value : {near, std::nextafter(near, T(0)), std::nextafter(near, inf<T>)}) {
      x.push_back(k % 2 == 0 ? value : -value);
    }
  }
  return x;
}
template <class Function>
void check_near_multiples() {
  check_accuracy<Function, float>(near_multiples<float>(), 1.0);
  check_accuracy<Function, double>(near_multiples<double>(), 1.0);
}
}  // namespace

TEST_CASE("vmath: sin and cos beside multiples of a quarter turn") {
  check_near_multiples<Sin>();
  check_near_multiples<Cos>();
}
