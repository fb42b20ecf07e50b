#include "tandem/ops/rsqrt.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("rsqrt") {
  const auto f = [](const auto& x) { return rsqrt(x); };
  // The square root rounds, which the quotient passes on at most once and rounds itself.
  unary::check(
      "rsqrt", f, [](long double x) { return 1 / std::sqrt(x); }, 0.05, 9, 1.5);
  unary::golden("rsqrt", f);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(rsqrt(tensor<double>({0, infinity, 4})).to_vector() ==
        std::vector<double>{infinity, 0, 0.5});
  CHECK(std::isnan(rsqrt(tensor<float>({-1.0F})).item()));
}
