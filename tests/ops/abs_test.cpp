#include "tandem/ops/abs.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("abs") {
  const auto f = [](const auto& x) { return abs(x); };
  // Exact.
  unary::check(
      "abs", f, [](long double x) { return std::fabs(x); }, -9, 9, 0);
  unary::golden("abs", f);
}

TEST_CASE("abs: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair<double, double>{0.0, 0.0}, {-2.0, 2.0}, {-infinity, infinity}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(abs(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(abs(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}

TEST_CASE("abs of integers") {
  CHECK(abs(tensor<std::int32_t>({-3, 0, 4})).to_vector() == std::vector<std::int32_t>{3, 0, 4});
  // Wraps around instead of overflowing.
  const std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
  CHECK(abs(tensor<std::int32_t>({lowest})).at({0}) == lowest);
}
