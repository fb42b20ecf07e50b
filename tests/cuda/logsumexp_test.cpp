#include "tandem/ops/logsumexp.hpp"

#include <limits>

#include "devices.hpp"

using namespace tandem;

namespace {
std::vector<Tensor<float>> logsumexp_run(const Tensor<float>& x, std::int64_t dim, Device device) {
  Tensor<float> leaf = x.to(device).clone();
  leaf.requires_grad_();
  const Tensor<float> y = logsumexp(leaf, dim);
  y.backward(full<float>(y.shape(), 1.5, device));
  return {y.detach(), leaf.grad()};
}
}  // namespace

TEST_CASE("logsumexp: float follows double on every device, every size, rows and columns") {
  std::vector<std::int64_t> sizes = devices::sizes;
  for (const std::int64_t n : {1028, 16388}) sizes.push_back(n);  // packs; rows that stay in memory
  for (const std::int64_t n : sizes) {
    for (const std::int64_t dim : {0, 1}) {
      if (dim == 0 && n > 257) continue;
      CAPTURE(n);
      CAPTURE(dim);
      const Tensor<double> x = devices::normal(dim == 1 ? Shape{5, n} : Shape{n, 7}, 1);
      devices::each([&](Device device) {
        // Exponents |x − m| < 10 are rounded, then a sum's terms; its logarithm and m, below 15,
        // too. The gradient is at most |dy| < 5, with y's error and its own in the exponent.
        const double sum = (dim == 1 ? static_cast<double>(n) / 32 + 32 : static_cast<double>(n)) +
                           2 * devices::function_error;
        devices::float_follows_double(
            device, [dim](const auto& v) { return logsumexp(v[0], dim); }, {x},
            5 * (sum + 12 + 2 * 15 + 20) * devices::float_eps);
        CHECK(check::distance(logsumexp(check::cast<float>(x).to(device), dim),
                              logsumexp(x, dim)) <= (sum + 12 + 2 * 15) * devices::float_eps);
      });
    }
  }
}

TEST_CASE("logsumexp: gradients on every device, along every dimension") {
  devices::each([](Device device) {
    for (const std::int64_t dim : {0, 1, 2, -1}) {
      for (const bool keepdim : {false, true}) {
        devices::gradients(device, [=](const auto& x) { return logsumexp(x[0], dim, keepdim); },
                           {check::normal({3, 5, 7}, 2)});
      }
    }
    CHECK(logsumexp(zeros<float>({0, 3}, device), 1).shape() == Shape{0});
    CHECK(logsumexp(zeros<float>({3, 0}, device), 0).shape() == Shape{0});
    for (const std::int64_t dim : {0, 1}) {  // nothing to add up
      CHECK(check::same(logsumexp(zeros<float>(dim == 1 ? Shape{3, 0} : Shape{0, 3}, device), dim)
                            .to(Device::cpu()),
                        full<float>({3}, -INFINITY)));
    }
  });
}

TEST_CASE("logsumexp: infinities, NaN and large numbers mean the same on every device") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& row : {std::vector<float>{-inf, -inf, -inf},
                                        {-inf, 1, 2},
                                        {1, inf, 2},
                                        {inf, -inf, inf},
                                        {nan, 1, 2},
                                        {1, nan, inf},
                                        {-inf, -inf, nan},
                                        {1000, 999, -1000},
                                        {3e38F, -3e38F, 0}}) {
    const Tensor<float> x = from_vector<float>(row, {1, 3});
    const auto expected = logsumexp_run(x, 1, Device::cpu());
    const double scale = std::isfinite(expected[0].item()) ? std::fabs(expected[0].item()) : 1;
    devices::each([&](Device device) {
      for (const std::int64_t dim : {0, 1}) {
        // Columns go through other code than rows: three of them, of the same numbers.
        const Tensor<float> in = dim == 1 ? x : x.reshape({3, 1}).expand({3, 2}).contiguous();
        const auto got = logsumexp_run(in, dim, device);
        const Tensor<float> y = got[0].to(Device::cpu());
        CHECK(check::distance(y.slice(0, 0, 1), expected[0]) <=
              (4 * scale + devices::function_error) * devices::float_eps);
        const Tensor<float> dx = got[1].to(Device::cpu());
        // 1.5·e^(x − y), whose exponent is off by roundings of numbers of this size.
        CHECK(check::distance(dim == 1 ? dx : dx.slice(1, 0, 1).reshape({1, 3}), expected[1]) <=
              2 * (4 * (1 + scale) + devices::function_error) * devices::float_eps);
      }
    });
  }
}

TEST_CASE("logsumexp: the same bits in any order of the threads") {
  for (const std::int64_t n : {31, 197, 1031, 16388}) {
    devices::same_in_every_order([&](Device device) {
      return logsumexp_run(check::cast<float>(devices::normal({9, n}, 3)), 1, device);
    });
  }
  devices::same_in_every_order([](Device device) {
    return logsumexp_run(check::cast<float>(devices::normal({2, 9, 257}, 5)), 1, device);
  });
}
