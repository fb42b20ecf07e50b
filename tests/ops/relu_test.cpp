#include "tandem/ops/relu.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("relu") {
  const auto f = [](const auto& x) { return relu(x); };
  // Exact.
  unary::check(
      "relu", f, [](long double x) { return x > 0 ? x : 0; }, -9, 9, 0);
  unary::golden("relu", f);
}

TEST_CASE("relu: special values") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] : {std::pair<double, double>{-2.0, 0.0},
                             {2.0, 2.0},
                             {-infinity, 0.0},
                             {infinity, infinity},
                             {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(relu(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(relu(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
