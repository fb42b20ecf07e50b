#include "tandem/ops/arithmetic.hpp"

#include "devices.hpp"

using namespace tandem;

namespace {

/// Calls test(name, f) for the ops of two tensors.
template <class F>
void each_binary(F&& test) {
  test("add", [](const auto& a, const auto& b) { return a + b; });
  test("sub", [](const auto& a, const auto& b) { return a - b; });
  test("mul", [](const auto& a, const auto& b) { return a * b; });
  test("div", [](const auto& a, const auto& b) { return a / b; });
}
/// Numbers that can be divided by.
Tensor<double> divisor(const Shape& shape, std::uint64_t seed) {
  const Tensor<double> x = devices::normal(shape, seed);
  return check::cast<double>(check::cast<float>(x * x + 0.5));
}

}  // namespace

TEST_CASE_TEMPLATE("arithmetic: one rounding on every device, every size", T, float, double,
                   bfloat16) {
  each_binary([](const char* name, const auto& f) {
    CAPTURE(std::string(name));
    for (const std::int64_t n : devices::sizes) {
      const Tensor<T> a = check::cast<T>(devices::normal({n}, 1)),
                      b = check::cast<T>(divisor({n}, 2));
      const Tensor<T> expected = f(a, b);
      devices::each(
          [&](Device device) { CHECK(check::same(f(a.to(device), b.to(device)), expected)); });
    }
  });
}

TEST_CASE("arithmetic broadcasts and takes any layout; gradients are summed back") {
  each_binary([](const char* name, const auto& op) {
    CAPTURE(std::string(name));
    const auto f = [&op](const std::vector<Tensor<double>>& x) { return op(x[0], x[1]); };
    devices::each([&](Device device) {
      devices::gradients(device, f, {devices::normal({3, 31}, 1), divisor({3, 31}, 2)});
      devices::gradients(device, f, {devices::normal({2, 3, 5}, 1), divisor({3, 1}, 2)});
      devices::gradients(device, f, {devices::normal({7}, 1), divisor({4, 1}, 2)});
      devices::gradients(device, f, {devices::normal({2, 3}, 1), divisor({}, 2)});
      CHECK(op(zeros<float>({0, 3}, device), ones<float>({3}, device)).shape() == Shape{0, 3});
    });
  });
}

TEST_CASE("arithmetic: gradients in bfloat16 are the CPU's, to two roundings") {
  const Tensor<bfloat16> a = check::cast<bfloat16>(devices::normal({33}, 1)),
                         b = check::cast<bfloat16>(divisor({33}, 2));
  each_binary([&](const char* name, const auto& f) {
    CAPTURE(std::string(name));
    const auto slopes = [&](Device device) {
      Tensor<bfloat16> x = a.to(device).clone(), y = b.to(device).clone();
      x.requires_grad_();
      y.requires_grad_();
      f(x, y).backward(ones<bfloat16>({33}, device));
      return std::vector{x.grad(), y.grad()};
    };
    const auto expected = slopes(Device::cpu());
    devices::each([&](Device device) {
      const auto got = slopes(device);
      // |a| < 5 and b ≥ ½: no slope is beyond 20.
      for (std::size_t i = 0; i < 2; ++i)
        CHECK(check::distance(got[i], expected[i]) <= 20 * 0x1p-7);
    });
  });
}

TEST_CASE("arithmetic in place on every device") {
  const Tensor<float> x = check::cast<float>(devices::normal({5, 7}, 1)),
                      y = check::cast<float>(divisor({7}, 2));
  devices::each([&](Device device) {
    const auto changed = [&](const auto& change) {
      const Tensor<float> here = x.clone(), there = x.to(device).clone(), row = y.to(device);
      change(here, y);
      change(there, row);
      CHECK(check::same(there, here));
    };
    changed([](const Tensor<float>& a, const Tensor<float>& b) { a += b; });
    changed([](const Tensor<float>& a, const Tensor<float>& b) { a -= b; });
    changed([](const Tensor<float>& a, const Tensor<float>& b) { a *= b; });
    changed([](const Tensor<float>& a, const Tensor<float>& b) { a /= b; });
    changed([](const Tensor<float>& a, const Tensor<float>&) { a *= 3; });
    changed([](const Tensor<float>& a, const Tensor<float>&) { a += a; });
    changed(
        [](const Tensor<float>& a, const Tensor<float>&) { a.slice(1, 1, 6) += a.slice(1, 0, 5); });
  });
  CHECK(check::message([&] { x.to(Device::cuda()) += y; }) ==
        "[add in place] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE(
    "gradients of a broadcast operand: sums down tall and wide matrices, the same bits in any "
    "order") {
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
      const double terms = static_cast<double>(rows) / 8 + 8,
                   total = 1.2 * static_cast<double>(rows) + 6;
      CHECK(check::distance(got[0], exact) <= terms * total * devices::float_eps);
    }
  }
}
