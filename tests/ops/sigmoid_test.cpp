#include "tandem/ops/sigmoid.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("sigmoid") {
  const auto f = [](const auto& x) { return sigmoid(x); };
  // The bounds of cpu/vmath.hpp.
  unary::check(
      "sigmoid", f, [](long double x) { return 1 / (1 + std::exp(-x)); }, -9, 9, 4);
  unary::golden("sigmoid", f);
}

TEST_CASE("sigmoid: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair<double, double>{0.0, 0.5}, {-infinity, 0.0}, {infinity, 1.0}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(sigmoid(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(sigmoid(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
