// What messages say: numbers as they are, and which op and which argument is meant.
#include "tandem/tensor/error.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

using namespace tandem;

TEST_CASE("concat prints the fewest digits that read back as the same number") {
  CHECK(concat(1e-6) == "1e-06");
  CHECK(concat(0.0) == "0");
  CHECK(concat(-0.0) == "-0");
  CHECK(concat(0.1) == "0.1");
  CHECK(concat(0.1F) == "0.1");
  CHECK(concat(1.5, " and ", -2.0) == "1.5 and -2");
  CHECK(concat(100000.0) == "100000");
  CHECK(concat(0.0001) == "0.0001");
  CHECK(concat(0.00001) == "1e-05");
  CHECK(concat(1e300) == "1e+300");  // not 301 digits
  CHECK(concat(std::numeric_limits<double>::max()) == "1.7976931348623157e+308");
  CHECK(concat(1.0 / 3) == "0.3333333333333333");
  CHECK(concat(INFINITY, " ", -INFINITY) == "inf -inf");
  CHECK(concat(std::numeric_limits<double>::quiet_NaN()) == "nan");
  CHECK(concat(std::numeric_limits<float>::denorm_min()) == "1e-45");
  CHECK(concat(2.5L) == "2.5");
  CHECK(concat(std::numeric_limits<std::uint64_t>::max(), " ",
               std::numeric_limits<std::int64_t>::min()) ==
        "18446744073709551615 -9223372036854775808");
}

TEST_CASE("concat: every number reads back") {
  std::mt19937_64 random(4);
  bool same = true;
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bits = random();
    double x;
    std::memcpy(&x, &bits, sizeof x);
    if (x != x) continue;
    same = same && std::strtod(concat(x).c_str(), nullptr) == x;
    const float y = static_cast<float>(
        std::ldexp(1 + static_cast<double>(bits % 4096) / 4096, static_cast<int>(bits >> 60) - 8));
    same = same && std::strtof(concat(y).c_str(), nullptr) == y;
  }
  CHECK(same);
}
