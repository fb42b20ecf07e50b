/// Convolutions in bfloat16 on every device, against the CPU's double of factors that are rounded
/// to it.

#include "devices.hpp"
#include "tandem/ops/abs.hpp"
#include "tandem/ops/conv1d.hpp"
#include "tandem/ops/conv3d.hpp"

using namespace tandem;
namespace conv3d_mma_test {
namespace {

struct Case {
  Shape x, weight;
  Conv3dOptions options;
};

Tensor<double> rounded(const Tensor<double>& x) {
  return check::cast<double>(x.to<float>().to<bfloat16>().to<float>());
}
/// Rounds to a neighbour in bfloat16 mostly, so that it is another number.
Tensor<double> numbers(const Shape& shape, std::uint64_t seed) {
  return devices::normal(shape, seed);
}

}  // namespace

TEST_CASE("conv3d in bfloat16: the double's of rounded factors but for float's sums") {
  constexpr Padding3d uneven = {{2, 1}, {0, 2}, {1, 0}};
  const std::vector<Case> cases = {
      {{2, 3, 2, 3, 5}, {5, 3, 1, 1, 1}, {}},
      {{2, 3, 2, 3, 5}, {2, 3, 1, 1, 1}, {.stride = {1, 2, 2}, .relu = true}},
      {{1, 2, 3, 4, 5}, {3, 2, 3, 3, 3}, {.padding = Padding3d::same(), .relu = true}},
      {{2, 9, 2, 3, 4}, {2, 9, 2, 3, 1}, {.padding = uneven}},
      {{1, 1, 3, 4, 3}, {1, 1, 5, 5, 5}, {Triple::all(2), Padding3d::same()}},
      {{2, 2, 4, 5, 6}, {3, 2, 2, 3, 1}, {{1, 2, 1}, uneven, {3, 1, 2}}},
      {{2, 4, 2, 4, 3}, {4, 1, 2, 2, 1}, {.padding = uneven, .groups = 4}},
      // Terms in several steps, and around 32; outputs and positions in several tiles
      {{1, 31, 1, 1, 3}, {2, 31, 1, 1, 1}, {}},
      {{1, 33, 1, 2, 3}, {17, 33, 1, 1, 1}, {}},
      {{1, 2, 1, 5, 13}, {3, 2, 1, 1, 1}, {}},
      {{2, 5, 3, 6, 7}, {67, 5, 3, 3, 3}, {.padding = Padding3d::same()}},
      {{2, 70, 1, 5, 7}, {66, 70, 1, 1, 1}, {.relu = true}},
      {{1, 34, 1, 1, 70}, {134, 17, 1, 1, 3}, {.dilation = {1, 1, 2}, .groups = 2}}};
  for (const Case& c : cases) {
    CAPTURE(c.x);
    CAPTURE(c.weight);
    const Tensor<double> x = numbers(c.x, 1), w = numbers(c.weight, 2),
                         b = numbers({c.weight[0]}, 3);
    const Tensor<double> exact = conv3d(rounded(x), rounded(w), b, c.options);
    const Tensor<double> sizes = conv3d(abs(rounded(x)), abs(rounded(w)), abs(b), c.options);
    const double terms = static_cast<double>(c.weight.numel() / c.weight[0]);
    bool another = false;
    devices::each([&](Device device) {
      if (device.is_cpu()) return;  // where convolutions are float's
      const PrecisionScope products(Precision::bfloat16);
      const devices::Inside<float> inside(check::cast<float>(x), device, 7.5F);
      const Tensor<float> y = conv3d(inside.part, check::cast<float>(w).to(device),
                                     check::cast<float>(b).to(device), c.options)
                                  .to(Device::cpu());
      CHECK(inside.margins_stand());
      // Each of n + 1 additions rounds a sum that is at most Σ|w·x| + |b|.
      for (std::int64_t i = 0; i < y.numel(); ++i) {
        const double bound = (terms + 2) * devices::float_eps * sizes.data()[i];
        const double error = std::fabs(static_cast<double>(y.data()[i]) - exact.data()[i]);
        if (error <= bound) continue;  // which NaN is not
        CAPTURE(i);
        CHECK(error <= bound);
        break;
      }
      const Tensor<float> full =
          conv3d(check::cast<float>(x), check::cast<float>(w), check::cast<float>(b), c.options);
      another = another || check::distance(y, check::cast<double>(full)) > 1e-4;
    });
    CHECK(another);
  }
}

TEST_CASE("conv3d in bfloat16: of no channels the bias is left") {
  const Tensor<float> x = zeros<float>({2, 0, 3, 4, 5}), w = zeros<float>({70, 0, 2, 1, 1}),
                      b = check::cast<float>(numbers({70}, 1));
  devices::each([&](Device device) {
    const PrecisionScope products(Precision::bfloat16);
    const Tensor<float> y =
        conv3d(x.to(device), w.to(device), b.to(device)).to(Device::cpu()).contiguous();
    REQUIRE(y.shape() == Shape{2, 70, 2, 4, 5});
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < y.numel(); ++i)
      wrong += y.data()[i] == b.data()[i / 40 % 70] ? 0 : 1;
    CHECK(wrong == 0);
  });
}

TEST_CASE("conv3d in bfloat16: gradients are float's; other types and one tap in tf32") {
  const Tensor<double> x = numbers({2, 3, 2, 4, 5}, 1), w = numbers({4, 3, 1, 2, 2}, 2);
  const auto run = [&](Device device, Precision precision) {
    const PrecisionScope products(precision);
    const Tensor<float> a = check::cast<float>(x).to(device), b = check::cast<float>(w).to(device);
    a.requires_grad_(), b.requires_grad_();
    const Tensor<float> y = conv3d(a, b);
    y.backward(check::cast<float>(numbers(y.shape(), 3)).to(device));
    return std::vector<Tensor<float>>{y.detach(), a.grad(), b.grad()};
  };
  const auto low =
      devices::same_in_every_order([&](Device device) { return run(device, Precision::bfloat16); });
  const auto full =
      devices::same_in_every_order([&](Device device) { return run(device, Precision::full); });
  CHECK(!check::same(low[0], full[0]));
  CHECK(check::same(low[1], full[1]));
  CHECK(check::same(low[2], full[2]));
  devices::each([&](Device device) {
    const PrecisionScope products(Precision::bfloat16);
    const Tensor<double> y = conv3d(x.to(device), w.to(device)).to(Device::cpu());
    CHECK(check::distance(y, conv3d(x, w)) <= 1e-13);
  });
  // One tap: a product of cuBLASLt, with factors of 11 bits.
  const Tensor<double> tap = numbers({4, 3, 1, 1, 1}, 4);
  const Tensor<double> exact = conv3d(x, tap), sizes = conv3d(abs(x), abs(tap));
  const PrecisionScope products(Precision::tf32);
  const Tensor<float> y =
      conv3d(check::cast<float>(x).to(Device::cuda()), check::cast<float>(tap).to(Device::cuda()))
          .to(Device::cpu());
  CHECK(check::distance(y, exact) > 1e-6);
  for (std::int64_t i = 0; i < y.numel(); ++i)
    CHECK(std::fabs(static_cast<double>(y.data()[i]) - exact.data()[i]) <=
          0x1p-10 * sizes.data()[i] + 1e-6);
}

}  // namespace conv3d_mma_test
