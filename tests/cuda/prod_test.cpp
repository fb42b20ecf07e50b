#include "tandem/ops/prod.hpp"

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"

using namespace tandem;

namespace {
/// Factors around 1, a few of them 0: products of 1031 of them stay in range.
Tensor<double> factors(const Shape& shape) {
  Tensor<double> x = check::cast<double>(check::cast<float>(check::normal(shape, 1) * 0.03 + 1));
  for (std::int64_t i = 0; i < x.numel(); i += 5 * shape.back() + 3) x.mutable_data()[i] = 0;
  return x;
}
}  // namespace

TEST_CASE("prod: float follows double on every device, rows and columns of every size") {
  for (const std::int64_t n : devices::sizes) {
    CAPTURE(n);
    for (const auto& [shape, dim] :
         {std::pair<Shape, int>{{5, n}, 1}, {{n, 7}, 0}, {{2, n, 3}, 1}}) {
      devices::each([&](Device device) {
        const int d = dim;
        // Products of n factors within e^±5 (n·0.03² and √n·0.03·5 in the exponent) round n times;
        // the gradient is such a product times |dy| < 5, over a factor of at least 0.8.
        devices::float_follows_double(
            device, [d](const auto& x) { return prod(x[0], d); }, {factors(shape)},
            static_cast<double>(n + 4) * devices::float_eps * 150 * 5 / 0.8);
      });
    }
  }
}

TEST_CASE("prod: gradients on every device; integers, none, bfloat16") {
  devices::each([](Device device) {
    devices::gradients(device, [](const auto& x) { return prod(x[0], 1); }, {factors({3, 7})});
    devices::gradients(device, [](const auto& x) { return prod(x[0], 0, true); },
                       {factors({5, 3})});
    devices::gradients(device, [](const auto& x) { return prod(x[0]); }, {factors({2, 3})});
    const Tensor<std::int32_t> x = tensor<std::int32_t>({{1 << 30, 4, -3}, {5, 6, 7}});
    CHECK(check::same(prod(x.to(device), 1).to(Device::cpu()), prod(x, 1)));
    CHECK(check::same(prod(x.to(device), 0).to(Device::cpu()), prod(x, 0)));
    CHECK(prod(zeros<float>({0, 3}, device), 0).to(Device::cpu()).to_vector() ==
          std::vector<float>{1, 1, 1});
    const Tensor<bfloat16> half = check::cast<bfloat16>(factors({3, 33}));
    CHECK(check::distance(prod(half.to(device), 1).to(Device::cpu()), prod(half, 1)) <= 0x1p-7);
  });
}

TEST_CASE("prod: beside a 0 where the others overflow, the CPU's gradient on every device") {
  const Tensor<float> rows = ones<float>({5, 67});
  for (std::int64_t i = 0; i < 5 * 67; i += 3) rows.mutable_data()[i] = 1e30F;
  rows.set({1, 40}, 0);
  rows.set({2, 3}, 0);
  rows.set({2, 66}, 0);
  rows.set({3, 10}, 0);
  rows.set({3, 11}, NAN);
  const auto gradient = [](const Tensor<float>& x, int dim) {
    const Tensor<float> leaf = x.clone();
    leaf.requires_grad_();
    const Tensor<float> y = prod(leaf, dim);
    y.backward(ones<float>(y.shape(), x.device()));
    return leaf.grad().to(Device::cpu());
  };
  devices::each([&](Device device) {
    for (const auto& [x, dim] :
         {std::pair<Tensor<float>, int>{rows, 1}, {rows.transpose(0, 1).contiguous(), 0}}) {
      const Tensor<float> there = gradient(x.to(device), dim), here = gradient(x, dim);
      // Rows with a 0 and nothing infinite or NaN have 0 but at that 0, whatever the order.
      for (const std::int64_t r : {1, 2}) {
        CHECK(check::same(there.select(1 - dim, r), here.select(1 - dim, r)));
      }
    }
  });
}

TEST_CASE("prod: the same bits in every order of the threads") {
  devices::same_in_every_order([](Device device) {
    const Tensor<float> x = check::cast<float>(factors({7, 197})).to(device);
    x.requires_grad_();
    const Tensor<float> y = prod(x, 1);
    y.backward(ones<float>({7}, device));
    return std::vector<Tensor<float>>{y.detach(), x.grad()};
  });
}
