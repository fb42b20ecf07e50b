#include "tandem/ops/quick_gelu.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("quick_gelu") {
  const auto f = [](const auto& x) { return quick_gelu(x); };
  // Rounding 1.702x costs up to |1.702x|/2 = 5 units of the sigmoid of a negative x.
  unary::check(
      "quick_gelu", f, [](long double x) { return x / (1 + std::exp(-1.702L * x)); }, -6, 6, 12);
  unary::golden("quick_gelu", f);
}

TEST_CASE("quick_gelu: special values") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair<double, double>{0.0, 0.0}, {30.0, 30.0}, {-3000.0, 0.0}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(quick_gelu(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(quick_gelu(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
