#pragma once
/// Means over repeated runs: Student's t, intervals, paired differences.

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "tandem/tensor/error.hpp"

namespace reproduce {

/// t_inside — P(|t| ≤ x) of Student's t with n degrees of freedom, exact for whole n:
///   θ = atan(x/√n); n = 1: 2θ/π;
///   n odd:  (2/π)(θ + sin θ (cos θ + (2/3) cos³θ + … + (2·4···(n−3))/(3·5···(n−2)) cos^{n−2}θ));
///   n even: sin θ (1 + (1/2) cos²θ + … + (1·3···(n−3))/(2·4···(n−2)) cos^{n−2}θ).
///                                              [Abramowitz and Stegun 1964, 26.7.3 and 26.7.4]
inline double t_inside(double x, std::size_t n) {
  TANDEM_CHECK(n >= 1 && x >= 0, "t_inside",
               "needs x >= 0 and at least one degree of freedom, got ", x, " and ", n);
  const double theta = std::atan(x / std::sqrt(static_cast<double>(n))), cosine = std::cos(theta);
  const bool odd = n % 2 == 1;
  double term = odd ? cosine : 1, sum = n == 1 ? 0 : term;
  for (std::size_t k = odd ? 3 : 2; k + 2 <= n; k += 2) {
    const auto m = static_cast<double>(k);
    term *= (m - 1) / m * cosine * cosine;
    sum += term;
  }
  const double sine = std::sin(theta);
  return odd ? 2 / std::acos(-1.0) * (theta + sine * sum) : sine * sum;
}

/// t_quantile — x with P(|t| ≤ x) = `inside`, by bisection to the last bit.
///   t_quantile(0.95, 1) == 12.706…, t_quantile(0.95, 9) == 2.262…
inline double t_quantile(double inside, std::size_t n) {
  TANDEM_CHECK(inside > 0 && inside < 1, "t_quantile", "a probability lies between 0 and 1, got ",
               inside);
  double low = 0, high = 1;
  while (t_inside(high, n) < inside) high *= 2;
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (!(middle > low && middle < high)) return high;
    (t_inside(middle, n) < inside ? low : high) = middle;
  }
}

/// The sample's standard deviation, √(Σ(x − mean)²/(n − 1)); 0 for fewer than two values.
inline double standard_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const auto count = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double v : values) mean += v / count;
  for (const double v : values) square += (v - mean) * (v - mean);
  return std::sqrt(square / (count - 1));
}

/// A mean and its interval: mean ± half.
struct Estimate {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double half = std::numeric_limits<double>::quiet_NaN();  ///< NaN for fewer than two values
  std::size_t count = 0;
};

/// estimate — mean ± t·s/√n, t = t_quantile(inside, n − 1), s the standard deviation. It holds for
/// values that are independent and near normal.
inline Estimate estimate(const std::vector<double>& values, double inside = 0.95) {
  Estimate out{.count = values.size()};
  if (values.empty()) return out;
  const auto count = static_cast<double>(values.size());
  out.mean = 0;
  for (const double v : values) out.mean += v / count;
  if (values.size() > 1) {
    out.half =
        t_quantile(inside, values.size() - 1) * standard_deviation(values) / std::sqrt(count);
  }
  return out;
}

/// What pairs of runs differ by: both of a pair have the same data and seed.
struct PairedDifference {
  Estimate difference;    ///< of a − b
  std::size_t above = 0;  ///< pairs with a > b
};
inline PairedDifference paired_difference(const std::vector<double>& a,
                                          const std::vector<double>& b, double inside = 0.95) {
  TANDEM_CHECK(a.size() == b.size(), "paired_difference",
               "pairs need as many values of both: ", a.size(), " and ", b.size());
  PairedDifference out;
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences.push_back(a[i] - b[i]);
    out.above += a[i] > b[i] ? 1 : 0;
  }
  out.difference = estimate(differences, inside);
  return out;
}

}  // namespace reproduce
