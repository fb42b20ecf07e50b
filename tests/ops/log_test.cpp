#include "tandem/ops/log.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("log") {
  const auto f = [](const auto& x) { return log(x); };
  // One unit of the vector log; where the result is near 0, of a hundredth.
  unary::check(
      "log", f, [](long double x) { return std::log(x); }, 0.01, 9, 2, 1e-2);
  unary::golden("log", f);
}

TEST_CASE("log: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] : {std::pair<double, double>{1.0, 0.0},
                             {0.0, -infinity},
                             {-1.0, nan},
                             {infinity, infinity},
                             {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(log(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(log(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
