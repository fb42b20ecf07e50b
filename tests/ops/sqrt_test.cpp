#include "tandem/ops/sqrt.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("sqrt") {
  const auto f = [](const auto& x) { return sqrt(x); };
  // Correctly rounded.
  unary::check(
      "sqrt", f, [](long double x) { return std::sqrt(x); }, 0.01, 9, 0.5);
  unary::golden("sqrt", f);
}

TEST_CASE("sqrt: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair<double, double>{0.0, 0.0}, {-1.0, nan}, {infinity, infinity}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(sqrt(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(sqrt(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
