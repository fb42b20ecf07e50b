#include "tandem/ops/var.hpp"

#include <cmath>

#include "devices.hpp"
#include "tandem/ops/norm.hpp"

using namespace tandem;

TEST_CASE("var, stddev: float follows double on every device") {
  for (const std::int64_t n : devices::sizes) {
    if (n == 1) continue;
    const Tensor<double> x = devices::normal({3, n}, 1);
    devices::each([&](Device device) {
      // Values and squares below 25, n of them added in an order of its own: n + 8 roundings of
      // 25·n/(n − 1) at most; the gradient 2(x − μ)dy/(n − 1) rounds less.
      const double bound = static_cast<double>(n + 8) * devices::float_eps * 50;
      devices::float_follows_double(
          device, [](const auto& v) { return var(v[0], 1); }, {x}, bound);
      devices::float_follows_double(
          device, [](const auto& v) { return stddev(v[0], {}, {.unbiased = false}); }, {x}, bound);
    });
  }
}

TEST_CASE("var, stddev, norm: gradients on every device, and of constants") {
  const Tensor<double> x = devices::normal({5, 7}, 2);
  devices::each([&](Device device) {
    devices::gradients(device, [](const auto& v) { return var(v[0], 0); }, {x});
    devices::gradients(device, [](const auto& v) { return stddev(v[0], 1, {.keepdim = true}); },
                       {x});
    for (const double p : {1.0, 2.0, double{INFINITY}}) {
      devices::gradients(device, [p](const auto& v) { return norm(v[0], p, 0); }, {x});
      devices::gradients(device, [p](const auto& v) { return norm(v[0], p); }, {x});
    }
    const Tensor<double> constant = full<double>({2, 3}, 0.5, device),
                         zero = zeros<double>({2, 3}, device);
    constant.requires_grad_();
    zero.requires_grad_();
    sum(stddev(constant, 1)).backward();
    sum(norm(zero, 2, 1)).backward();
    CHECK(check::same(constant.grad().to(Device::cpu()), zeros<double>({2, 3})));
    CHECK(check::same(zero.grad().to(Device::cpu()), zeros<double>({2, 3})));
    CHECK(norm(tensor<float>({3e30F, -4e30F}).to(device)).item() ==
          doctest::Approx(5e30F).epsilon(1e-6));
    CHECK(norm(zeros<float>({0, 3}, device), 2, 0).to(Device::cpu()).to_vector() ==
          std::vector<float>{0, 0, 0});
  });
}
