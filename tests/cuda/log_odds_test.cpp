/// The log odds of a softmax's classes (wtal/rivals/log_odds.hpp) on every device.

#include "tandem/wtal/rivals/log_odds.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"

using namespace tandem;
namespace log_odds_test {

TEST_CASE("log_odds: the CPU's double and its gradients on every device, rows of any length") {
  for (const std::int64_t n : devices::sizes) {
    if (n < 2) continue;
    CAPTURE(n);
    const std::vector<Tensor<double>> x{devices::normal({n == 33 ? 1 : 3, n}, 5) * 4.0};
    const auto odds = [](const auto& v) { return wtal::rivals::log_odds(v[0]); };
    devices::each([&](Device device) {
      // n terms of a sum that lies within e^30 of the largest; y up to 40, dy·e/r below |dy|·n.
      devices::float_follows_double(device, odds, x,
                                    200 * static_cast<double>(n + 8) * devices::float_eps);
      if (n <= 33) devices::gradients(device, odds, x);
    });
  }
}
TEST_CASE("log_odds: of no rows on every device") {
  devices::each([](Device device) {
    const Tensor<float> none = zeros<float>({0, 3}, device);
    none.requires_grad_();
    const Tensor<float> y = wtal::rivals::log_odds(none);
    CHECK(y.shape() == Shape{0, 3});
    y.backward(zeros<float>({0, 3}, device));
    CHECK(none.grad().shape() == Shape{0, 3});
  });
}
TEST_CASE("log_odds: saturated rows, several largest ones, what takes no part") {
  const std::vector<std::vector<double>> rows = {{200, 0, -3, 1},
                                                 {100, 100, 3, 3},
                                                 {-80, -80, -80, -80},
                                                 {0, -95, -96, -97},
                                                 {650, 0, 0, 0},
                                                 {3, 3, 3, 2.999},
                                                 {-1e4, 0, -1e4, -1e4},
                                                 {1, -680, -800, -900},
                                                 {750, 0, -3, 1},
                                                 {0, -9e3, -1e4, -9001},
                                                 {-INFINITY, -INFINITY, -INFINITY, -INFINITY},
                                                 {5, -INFINITY, 4, -INFINITY},
                                                 {2, -INFINITY, -INFINITY, -INFINITY}};
  std::vector<double> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  const Tensor<double> x = check::cast<double>(
      check::cast<float>(from_vector<double>(all, {static_cast<std::int64_t>(rows.size()), 4})));
  const Tensor<double> cotangent = devices::normal(x.shape(), 8);
  const auto run = [&]<class T>(Device device, T) {
    const Tensor<T> s = check::cast<T>(x).to(device);
    s.requires_grad_();
    const Tensor<T> y = wtal::rivals::log_odds(s);
    y.backward(check::cast<T>(cotangent).to(device));
    return std::pair(y.detach().to(Device::cpu()), s.grad().to(Device::cpu()));
  };
  const auto [y, dx] = run(Device::cpu(), double());
  devices::each([&, &y = y, &dx = dx](Device device) {
    const auto [low, dlow] = run(device, float());
    const auto [high, dhigh] = run(device, double());
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      CAPTURE(i);
      const double value = y.data()[i];
      if (!std::isfinite(value)) {
        CHECK(static_cast<double>(low.data()[i]) == value);
        CHECK(high.data()[i] == value);
        continue;
      }
      // The exponentials of a sum, its logarithm, and eight more
      const double bound = (8 + 2 * devices::function_error) * (1 + std::fabs(value));
      CHECK(std::fabs(low.data()[i] - value) <= bound * devices::float_eps);
      CHECK(std::fabs(high.data()[i] - value) <= bound * 0x1p-53);
      CHECK(std::fabs(dlow.data()[i] - dx.data()[i]) <= 40 * devices::float_eps);
      CHECK(std::fabs(dhigh.data()[i] - dx.data()[i]) <= 40 * 0x1p-53);
    }
  });
}

}  // namespace log_odds_test
