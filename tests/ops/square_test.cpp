#include "tandem/ops/square.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("square") {
  const auto f = [](const auto& x) { return square(x); };
  // One rounding.
  unary::check(
      "square", f, [](long double x) { return x * x; }, -9, 9, 0.5);
  unary::golden("square", f);
}

TEST_CASE("square: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair<double, double>{0.0, 0.0}, {-3.0, 9.0}, {-infinity, infinity}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(square(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(square(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}

TEST_CASE("square of integers") {
  CHECK(square(tensor<std::int32_t>({-3, 0, 4})).to_vector() ==
        std::vector<std::int32_t>{9, 0, 16});
  // Wraps around instead of overflowing.
  const std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
  CHECK(square(tensor<std::int32_t>({lowest})).at({0}) == 0);
}
