#include "tandem/ops/linear_bf16.hpp"

#include <cmath>

#include "devices.hpp"

using namespace tandem;

namespace {

/// linear_bf16 and its gradients on a device, of x (rows, in), W (out, in), b and r.
std::vector<Tensor<float>> low_linear(Device device, std::int64_t rows, std::int64_t in,
                                      std::int64_t out, Activation activation, bool all) {
  const auto leaf = [&](const Shape& shape, std::uint64_t seed) {
    Tensor<float> x = check::cast<float>(devices::normal(shape, seed)).to(device);
    x.requires_grad_();
    return x;
  };
  const Tensor<float> x = leaf({rows, in}, 1), b = leaf({out}, 3), r = leaf({rows, out}, 4);
  Tensor<bfloat16> w = check::cast<float>(devices::normal({out, in}, 2)).to<bfloat16>().to(device);
  w.requires_grad_();
  const Tensor<float> y =
      linear_bf16(x, w, all ? b : Tensor<float>(), activation, all ? r : Tensor<float>());
  CHECK(y.device() == device);
  y.backward(check::cast<float>(devices::normal({rows, out}, 5)).to(device));
  std::vector<Tensor<float>> got{y.detach(), x.grad(), w.grad().to(Device::cpu()).to<float>()};
  if (all) {
    got.push_back(b.grad());
    got.push_back(r.grad());
  }
  return got;
}

}  // namespace

TEST_CASE("linear_bf16: every device multiplies as the CPU does") {
  struct Size {
    std::int64_t rows, in, out;
  };
  for (const Size s : {Size{1, 1, 1}, {31, 33, 7}, {64, 64, 64}, {77, 5, 3}}) {
    CAPTURE(s.rows);
    for (const Activation activation : {Activation::none, Activation::quick_gelu}) {
      for (const bool all : {false, true}) {
        const auto expected = low_linear(Device::cpu(), s.rows, s.in, s.out, activation, all);
        devices::each([&](Device device) {
          const auto got = low_linear(device, s.rows, s.in, s.out, activation, all);
          REQUIRE(got.size() == expected.size());
          for (std::size_t i = 0; i < got.size(); ++i) {
            CAPTURE(i);
            // Products are exact. Sums of n of them, each below 4·4, in another order: 2·n
            // roundings of a sum that stays below 16·√n, and 50 for the activation. A rounding of
            // dz (i > 0) or dW (i = 2) may turn out the other way: 2⁻⁷ of a term, or of dW.
            const double n = static_cast<double>(std::max({s.rows, s.in, s.out}));
            const double sum = 16 * std::sqrt(n);
            const double bound = (2 * n + 50) * devices::float_eps * sum +
                                 (i == 0 ? 0 : 0x1p-7 * (i == 2 ? sum : 16));
            CHECK(check::distance(got[i].to(Device::cpu()), expected[i]) <= bound);
          }
        });
      }
    }
  }
}

TEST_CASE("linear_bf16: no gradient of a frozen weight, empty sizes, the same bits in any order") {
  devices::same_in_every_order(
      [](Device device) { return low_linear(device, 33, 65, 31, Activation::gelu, true); });
  devices::each([](Device device) {
    Tensor<float> x = ones<float>({2, 3}, device);
    x.requires_grad_();
    const Tensor<bfloat16> w = full<bfloat16>({4, 3}, bfloat16(2.0F)).to(device);
    const Tensor<float> y = linear_bf16(x, w);
    y.backward(ones<float>({2, 4}, device));
    CHECK(check::same(y.detach().to(Device::cpu()), full<float>({2, 4}, 6.0F)));
    CHECK(check::same(x.grad().to(Device::cpu()), full<float>({2, 3}, 8.0F)));
    CHECK(check::same(linear_bf16(zeros<float>({2, 0}, device), zeros<bfloat16>({3, 0}).to(device))
                          .to(Device::cpu()),
                      zeros<float>({2, 3})));
    CHECK(linear_bf16(zeros<float>({0, 3}, device), w).shape() == Shape{0, 4});
  });
  CHECK(check::message([] {
          linear_bf16(ones<float>({2, 3}, Device::cuda()), zeros<bfloat16>({4, 3}));
        }) == "[linear_bf16] inputs are on different devices: cuda:0 and cpu");
}
