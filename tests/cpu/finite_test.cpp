/// The first number that is not finite: every position, every kind of number, any thread count.

#include "tandem/cpu/finite.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

using namespace tandem;

TEST_CASE_TEMPLATE("find_not_finite: infinities and NaN, and nothing else", T, float, double,
                   bfloat16) {
  using Limits = std::numeric_limits<double>;
  const auto finds = [](double value) {
    const T one = static_cast<T>(value);
    return cpu::find_not_finite(&one, 1) == 0;
  };
  for (const double bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
    CHECK(finds(bad));
  }
  for (const double good : {0.0, -0.0, 1.0, -1e30, 1e-45, 3.38e38}) CHECK_FALSE(finds(good));
  CHECK(cpu::find_not_finite(static_cast<const T*>(nullptr), 0) == -1);
}

TEST_CASE("find_not_finite: the first of several, on one thread and on four") {
  const int threads = cpu::num_threads();
  const std::int64_t n = (1 << 19) + 4097;
  std::vector<float> x(static_cast<std::size_t>(n), 1.0F);
  for (const int count : {1, 4}) {
    cpu::set_num_threads(count);
    CHECK(cpu::find_not_finite(x.data(), n) == -1);
    for (const std::int64_t at : {std::int64_t{0}, std::int64_t{1}, std::int64_t{4095},
                                  std::int64_t{4096}, std::int64_t{1 << 18}, n - 2}) {
      CAPTURE(at);
      x[static_cast<std::size_t>(n - 1)] = -std::numeric_limits<float>::infinity();
      x[static_cast<std::size_t>(at)] = std::numeric_limits<float>::quiet_NaN();
      CHECK(cpu::find_not_finite(x.data(), n) == at);
      x[static_cast<std::size_t>(at)] = 1;
      CHECK(cpu::find_not_finite(x.data(), n) == n - 1);
      CHECK(cpu::find_not_finite(x.data(), n - 1) == -1);
    }
    x.back() = 1;
  }
  cpu::set_num_threads(threads);
}
