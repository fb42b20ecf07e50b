/// The cross-entropy of probabilities that are clamped (wtal/rivals/losses.hpp) on every device.

#include <cmath>
#include <utility>
#include <vector>

#include "devices.hpp"
#include "tandem/wtal/rivals/losses.hpp"

using namespace tandem;
namespace clamped_bce_test {

TEST_CASE("clamped_bce: loss and gradient on every device, one part and several, clamped ends") {
  for (const std::int64_t n : {1, 5, 33, 257, 5000}) {
    CAPTURE(n);
    std::vector<double> p, y;
    for (std::int64_t i = 0; i < n; ++i) {
      const double x = static_cast<double>(i * 37 % 101) / 100;  // 0 and 1 among them
      // Logarithms of −69, −100.5 and −99.5 among them, around the end at −100.
      p.push_back(i % 50 == 3 ? 1e-30 : i % 50 == 4 ? 2.2e-44 : i % 50 == 5 ? 6.2e-44 : x);
      y.push_back(i % 3 == 0 ? 1 : i % 3 == 1 ? 0 : 0.25);
    }
    const Tensor<double> labels = check::cast<double>(check::cast<float>(from_vector<double>(y)));
    const std::vector<Tensor<double>> in{
        check::cast<double>(check::cast<float>(from_vector<double>(p)))};
    const auto run = [&]<class T>(Device device, T) {
      const Tensor<T> x = check::cast<T>(in[0]).to(device);
      x.requires_grad_();
      const Tensor<T> loss = wtal::rivals::clamped_bce(x, check::cast<T>(labels).to(device));
      loss.backward(full<T>(Shape{}, T(1.5)).to(device));
      return std::pair(static_cast<double>(loss.item()),
                       check::cast<double>(x.grad().to(Device::cpu())));
    };
    const auto [loss, dx] = run(Device::cpu(), double());
    devices::each([&, loss = loss, &dx = dx](Device device) {
      for (const bool high : {false, true}) {
        const auto [value, gradient] = high ? run(device, double()) : run(device, float());
        const double eps = high ? 0x1p-53 : devices::float_eps;
        // Sums of n terms up to 100 over n, added in parts of at most 16 + 256; a term is within 4
        // roundings, but where p is near 1, whose 1 − p float does not have better.
        CHECK(std::fabs(value - loss) <= 100 * 300 * eps);
        for (std::int64_t i = 0; i < n; ++i)
          CHECK(std::fabs(gradient.data()[i] - dx.data()[i]) <=
                16 * eps * (1 + std::fabs(dx.data()[i])));
      }
    });
  }
}

}  // namespace clamped_bce_test
