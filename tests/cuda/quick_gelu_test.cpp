#include "devices.hpp"

#include <limits>

#include "tandem/ops/quick_gelu.hpp"

using namespace tandem;

namespace {
const auto quick_gelu_of = [](const auto& x) { return quick_gelu(x[0]); };
}  // namespace

TEST_CASE("quick_gelu: values and gradients on every device, every size") {
  for (const std::int64_t n : devices::sizes) {
    const Tensor<double> x = devices::normal({n}, 1);
    devices::each([&](Device device) {
      // |x| < 5. The argument's rounding, the exponential and a quotient: under 8 roundings of values
      // below 1.2·|x|, and for the gradient, times |dy| < 5, of sums of four such terms.
      devices::float_follows_double(device, quick_gelu_of, {x}, 8 * 5 * 1.2 * 5 * devices::float_eps);
    });
  }
  devices::each([&](Device device) {
    devices::gradients(device, quick_gelu_of, {devices::normal({3, 33}, 2)});
    CHECK(quick_gelu(zeros<float>({0}, device)).shape() == Shape{0});
  });
}

TEST_CASE("quick_gelu: special values on every device") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  devices::each([&](Device device) {
    for (const auto& [x, y] :
         {std::pair<double, double>{0.0, 0.0}, {30.0, 30.0}, {-3000.0, 0.0}, {3000.0, 3000.0}, {nan, nan}}) {
      CHECK(check::same(quick_gelu(full<double>({5}, x, device)), full<double>({5}, y)));
      CHECK(check::same(quick_gelu(full<float>({5}, static_cast<float>(x), device)),
                        full<float>({5}, static_cast<float>(y))));
    }
  });
}
