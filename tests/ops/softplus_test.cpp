#include "tandem/ops/softplus.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("softplus") {
  const auto f = [](const auto& x) { return softplus(x); };
  // exp, log1p (which passes the error of exp on, at most once) and one addition.
  unary::check(
      "softplus", f, [](long double x) { return std::log1p(std::exp(x)); }, -9, 9, 6);
  unary::golden("softplus", f);
}

TEST_CASE("softplus: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] : {std::pair<double, double>{-infinity, 0.0},
                             {infinity, infinity},
                             {1e30, 1e30},
                             {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(softplus(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(softplus(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
