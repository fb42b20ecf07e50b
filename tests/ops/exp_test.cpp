#include "tandem/ops/exp.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("exp") {
  const auto f = [](const auto& x) { return exp(x); };
  // One unit of the vector exp, half of the reference.
  unary::check(
      "exp", f, [](long double x) { return std::exp(x); }, -9, 9, 2);
  unary::golden("exp", f);
}

TEST_CASE("exp: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair<double, double>{0.0, 1.0}, {-infinity, 0.0}, {infinity, infinity}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(exp(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(exp(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
