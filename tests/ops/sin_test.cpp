#include "tandem/ops/sin.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("sin") {
  const auto f = [](const auto& x) { return sin(x); };
  unary::check(
      "sin", f, [](long double x) { return std::sin(x); }, -40, 40, 1);
  unary::golden("sin", f);
}

TEST_CASE("cos") {
  const auto f = [](const auto& x) { return cos(x); };
  unary::check(
      "cos", f, [](long double x) { return std::cos(x); }, -40, 40, 1);
  unary::golden("cos", f);
}

TEST_CASE("sin, cos: special values, among others") {
  constexpr double infinity = std::numeric_limits<double>::infinity(),
                   nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor<double> x = tensor<double>({0, -0.0, infinity, -infinity, nan, 1e22, -1e300, 0.5}),
                       s = sin(x), c = cos(x);
  CHECK(std::signbit(s.at({1})));
  CHECK(!std::signbit(s.at({0})));
  CHECK(c.at({1}) == 1);
  for (const std::int64_t i : {2, 3, 4}) {
    CHECK(std::isnan(s.at({i})));
    CHECK(std::isnan(c.at({i})));
  }
  // From 40 digits of π; half an ulp of the C library's.
  CHECK(s.at({5}) == doctest::Approx(-0.8522008497671888).epsilon(1e-15));
  CHECK(c.at({5}) == doctest::Approx(0.5232147853951389).epsilon(1e-15));
  CHECK(std::fabs(s.at({6}) * s.at({6}) + c.at({6}) * c.at({6}) - 1) < 1e-15);
  CHECK(s.at({7}) == doctest::Approx(0.47942553860420300).epsilon(1e-15));
}
