#include "tandem/ops/gelu.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("gelu") {
  const auto f = [](const auto& x) { return gelu(x); };
  // erf is near -1 for negative x: its units are those of 1, times |x| / 2.
  unary::check(
      "gelu", f, [](long double x) { return x * std::erfc(-x / std::sqrt(2.0L)) / 2; }, -6, 6, 6,
      2);
  unary::golden("gelu", f);
}

TEST_CASE("gelu: special values") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] : {std::pair<double, double>{0.0, 0.0}, {30.0, 30.0}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(gelu(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(gelu(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
