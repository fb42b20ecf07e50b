#include "tandem/ops/log1p.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("log1p") {
  const auto f = [](const auto& x) { return log1p(x); };
  unary::check(
      "log1p", f, [](long double x) { return std::log1p(x); }, -0.95, 9, 1);
  unary::golden("log1p", f);
}

TEST_CASE("log1p: small and special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity(),
                   nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] : {std::pair<double, double>{1e-30, 1e-30},
                             {0.0, 0.0},
                             {-1.0, -infinity},
                             {infinity, infinity},
                             {-2.0, nan},
                             {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(log1p(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(log1p(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
