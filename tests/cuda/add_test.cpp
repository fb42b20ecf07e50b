#include "devices.hpp"

#include "tandem/ops/arithmetic.hpp"

using namespace tandem;

TEST_CASE_TEMPLATE("add: one rounding on every device, every size", T, float, double) {
  for (const std::int64_t n : devices::sizes) {
    const Tensor<T> a = check::cast<T>(devices::normal({n}, 1)), b = check::cast<T>(devices::normal({n}, 2));
    const Tensor<T> expected = add(a, b);
    devices::each([&](Device device) {
      CHECK(check::same(add(a.to(device), b.to(device)), expected));
      CHECK(check::same(a.to(device) + b.to(device), expected));
    });
  }
}

TEST_CASE("add broadcasts and takes any layout; gradients are summed back") {
  const auto f = [](const std::vector<Tensor<double>>& x) { return add(x[0], x[1]); };
  devices::each([&](Device device) {
    devices::gradients(device, f, {devices::normal({3, 31}, 1), devices::normal({3, 31}, 2)});
    devices::gradients(device, f, {devices::normal({2, 3, 5}, 1), devices::normal({3, 1}, 2)});
    devices::gradients(device, f, {devices::normal({7}, 1), devices::normal({4, 1}, 2)});
    devices::gradients(device, f, {devices::normal({2, 3}, 1), devices::normal({}, 2)});
    CHECK(add(zeros<float>({0, 3}, device), ones<float>({3}, device)).shape() == Shape{0, 3});
  });
}

TEST_CASE("gradients of a broadcast operand: sums down tall and wide matrices, the same bits in any order") {
  for (const std::int64_t rows : devices::sizes) {
    for (const std::int64_t n : {1, 31, 33, 77}) {
      const Tensor<double> x = devices::normal({rows, n}, 3);
      const auto summed = [&](Device device) {
        Tensor<float> bias = zeros<float>({n}, device);
        bias.requires_grad_();
        add(zeros<float>({rows, n}, device), bias).backward(check::cast<float>(x).to(device));
        return std::vector{bias.grad()};
      };
      const auto got = devices::same_in_every_order(summed);
      const Tensor<double> exact = autograd::sum_to_shape(x, Shape{n});
      // rows/8 + 7 additions in a row, each rounding a partial sum of at most Σ|x| < 1.2·rows + 6.
      const double terms = static_cast<double>(rows) / 8 + 8, total = 1.2 * static_cast<double>(rows) + 6;
      CHECK(check::distance(got[0], exact) <= terms * total * devices::float_eps);
    }
  }
}
