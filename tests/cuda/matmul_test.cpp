#include "tandem/ops/matmul.hpp"

#include <algorithm>

#include "devices.hpp"
#include "tandem/ops/linear.hpp"

using namespace tandem;

namespace {
const auto product = [](const auto& x) { return matmul(x[0], x[1]); };
}  // namespace

TEST_CASE("matmul: float follows double on every device, odd sizes") {
  const std::vector<std::vector<std::int64_t>> shapes = {{1, 1, 1},    {31, 33, 77}, {33, 31, 1},
                                                         {1, 77, 197}, {197, 2, 31}, {64, 64, 64}};
  for (const auto& s : shapes) {
    const std::int64_t m = s[0], n = s[1], k = s[2];
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    const Tensor<double> a = devices::normal({m, k}, 1), b = devices::normal({k, n}, 2);
    devices::each([&](Device device) {
      // Each entry adds at most max(m, n, k) products of |a|, |b|, |dc| < 5, one rounding each of a
      // partial sum whose absolute terms average under 1.
      const double terms = static_cast<double>(std::max({m, n, k})) + 1;
      devices::float_follows_double(device, product, {a, b},
                                    terms * terms * 2 * devices::float_eps);
    });
  }
}

TEST_CASE(
    "matmul: gradients on every device, batches, broadcasting, transposed and strided operands") {
  devices::each([](Device device) {
    devices::gradients(device, product, {check::normal({3, 5}, 1), check::normal({5, 7}, 2)});
    devices::gradients(device, product, {check::normal({2, 3, 5}, 1), check::normal({2, 5, 4}, 2)});
    devices::gradients(device, product, {check::normal({2, 3, 5}, 1), check::normal({5, 4}, 2)});
    devices::gradients(device, product, {check::normal({3, 5}, 1), check::normal({2, 5, 4}, 2)});
    devices::gradients(device, product,
                       {check::normal({2, 1, 3, 5}, 1), check::normal({3, 5, 4}, 2)});
    devices::gradients(device, product, {check::normal({5}, 1), check::normal({5, 4}, 2)});
    devices::gradients(device, product, {check::normal({3, 5}, 1), check::normal({5}, 2)});
    devices::gradients(
        device,
        [](const auto& x) { return matmul(x[0].transpose(-1, -2), x[1].transpose(-1, -2)); },
        {check::normal({2, 5, 3}, 1), check::normal({2, 4, 5}, 2)});
  });
}

TEST_CASE("matmul: empty dimensions on every device") {
  devices::each([](Device device) {
    CHECK(matmul(zeros<float>({0, 3}, device), zeros<float>({3, 2}, device)).shape() ==
          Shape{0, 2});
    CHECK(matmul(zeros<float>({2, 3}, device), zeros<float>({3, 0}, device)).shape() ==
          Shape{2, 0});
    CHECK(check::same(matmul(zeros<float>({2, 0}, device), zeros<float>({0, 3}, device)),
                      zeros<float>({2, 3})));
  });
}

TEST_CASE("linear: every combination of bias, residual and activation") {
  const Tensor<double> x = devices::normal({2, 3, 7}, 1), w = devices::normal({5, 7}, 2),
                       b = devices::normal({5}, 3), r = devices::normal({2, 3, 5}, 4);
  devices::each([&](Device device) {
    for (const Activation activation :
         {Activation::none, Activation::relu, Activation::gelu, Activation::quick_gelu}) {
      const auto with = [&](const std::vector<Tensor<double>>& inputs, int bias, int residual) {
        const auto f = [=](const auto& v) {
          using X = std::decay_t<decltype(v[0])>;
          return linear(v[0], v[1], bias > 0 ? v[static_cast<std::size_t>(bias)] : X(), activation,
                        residual > 0 ? v[static_cast<std::size_t>(residual)] : X());
        };
        devices::gradients(device, f, inputs);
        // Sums of 7 (forward) or 6 (weights) products; the activation adds 8 roundings. |values| <
        // 50.
        devices::float_follows_double(device, f, inputs, 20 * 50 * devices::float_eps);
      };
      with({x, w}, 0, 0);
      with({x, w, b}, 2, 0);
      with({x, w, r}, 0, 2);
      with({x, w, b, r}, 2, 3);
    }
    CHECK(check::same(linear(zeros<float>({2, 0}, device), zeros<float>({3, 0}, device)),
                      zeros<float>({2, 3})));
    CHECK(linear(zeros<float>({0, 4}, device), zeros<float>({3, 4}, device)).shape() ==
          Shape{0, 3});
  });
}
