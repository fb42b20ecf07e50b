/// Student's t, intervals and paired differences of reproduce.

#include "../../examples/reproduce/statistics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace reproduce;

TEST_CASE("t_quantile: the printed tables of Student's t, two-sided") {
  struct Known {
    double inside;
    std::size_t degrees;
    double x;
  };
  for (const Known k : {Known{0.95, 1, 12.706},
                        {0.95, 2, 4.303},
                        {0.95, 3, 3.182},
                        {0.95, 4, 2.776},
                        {0.95, 9, 2.262},
                        {0.95, 10, 2.228},
                        {0.95, 29, 2.045},
                        {0.95, 30, 2.042},
                        {0.95, 120, 1.980},
                        {0.99, 5, 4.032},
                        {0.5, 8, 0.706}}) {
    INFO(k.inside, " inside, ", k.degrees, " degrees of freedom");
    CHECK(std::fabs(t_quantile(k.inside, k.degrees) - k.x) < 5.1e-4);
  }
  CHECK(t_inside(0, 7) == 0);
  // n = 1 is Cauchy's distribution, n = 2 has P = x/√(2 + x²).
  CHECK(std::fabs(t_inside(3, 1) - 2 * std::atan(3.0) / std::acos(-1.0)) < 1e-15);
  CHECK(std::fabs(t_inside(3, 2) - 3 / std::sqrt(11.0)) < 1e-15);
  // Many degrees of freedom: the normal distribution.
  CHECK(std::fabs(t_inside(1.5, 20001) - std::erf(1.5 / std::sqrt(2.0))) < 1e-4);
  CHECK_THROWS_AS(t_quantile(1, 3), tandem::Error);
  CHECK_THROWS_AS(t_quantile(0, 3), tandem::Error);
  CHECK_THROWS_AS(t_inside(1, 0), tandem::Error);
}

TEST_CASE("estimate: mean ± t·s/√n") {
  const Estimate e = estimate({1, 2, 3, 4});
  CHECK(e.count == 4);
  CHECK(std::fabs(e.mean - 2.5) < 1e-15);
  CHECK(std::fabs(e.half - 3.1824463 * std::sqrt(5.0 / 3) / 2) < 1e-6);
  CHECK(estimate({7, 7, 7}).half == 0);
  CHECK(estimate({7}).mean == 7);
  CHECK(std::isnan(estimate({7}).half));
  CHECK(std::isnan(estimate({}).mean));
  CHECK(std::fabs(standard_deviation({1, 2, 3, 4}) - std::sqrt(5.0 / 3)) < 1e-15);
  CHECK(standard_deviation({3}) == 0);
}

TEST_CASE("paired_difference: what pairs share goes out") {
  const std::vector<double> a{11, 52, 93}, b{10, 50, 90};
  const PairedDifference d = paired_difference(a, b);
  CHECK(d.difference.mean == 2);
  CHECK(d.above == 3);
  CHECK(std::fabs(d.difference.half - 4.3026527 / std::sqrt(3.0)) < 1e-6);
  CHECK(d.difference.half < estimate(a).half / 10);
  CHECK(paired_difference(b, a).above == 0);
  CHECK(paired_difference(a, a).above == 0);
  CHECK_THROWS_AS(paired_difference(a, {1}), tandem::Error);
}
