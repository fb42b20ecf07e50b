#include "tandem/ops/tanh.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("tanh") {
  const auto f = [](const auto& x) { return tanh(x); };
  // The bounds of cpu/vmath.hpp.
  unary::check(
      "tanh", f, [](long double x) { return std::tanh(x); }, -4, 4, 4);
  unary::golden("tanh", f);
}

TEST_CASE("tanh: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair<double, double>{0.0, 0.0}, {40.0, 1.0}, {-infinity, -1.0}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(tanh(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(tanh(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
