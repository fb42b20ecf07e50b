#include "tandem/ops/sum.hpp"

#include "devices.hpp"
#include "tandem/ops/mean.hpp"

using namespace tandem;

TEST_CASE(
    "sum: every choice of dimensions, on every device, any layout, the same bits in any order") {
  const Shape shape{5, 33, 7};
  const Tensor<double> x = devices::normal(shape, 1);
  for (const Shape& dims :
       {Shape{}, Shape{0}, Shape{1}, Shape{2}, Shape{0, 1}, Shape{0, 2}, Shape{1, 2}}) {
    CAPTURE(dims);
    const Tensor<double> exact = sum(x, dims);
    devices::each([&](Device device) {
      devices::gradients(device, [&](const auto& v) { return sum(v[0], dims); },
                         {devices::normal({2, 5, 3}, 2)});
      // At most 1155 terms of |x| < 5.
      CHECK(check::distance(sum(check::cast<float>(x).to(device), dims), exact) <=
            1155 * 1155.0 * 2 * devices::float_eps);
      const Tensor<float> turned = check::cast<float>(x).to(device).permute({2, 0, 1});
      CHECK(check::distance(sum(turned), sum(x)) <= 1155 * 1155.0 * 2 * devices::float_eps);
    });
    devices::same_in_every_order(
        [&](Device device) { return std::vector{sum(check::cast<float>(x).to(device), dims)}; });
  }
}

TEST_CASE("sum: long rows in slices, one output and many; nothing to sum") {
  for (const std::int64_t outputs : {1, 3, 600}) {
    for (const std::int64_t n : {1, 129, 4097, 9001}) {
      if (outputs == 600 && n > 4097) continue;
      // Integers: any order is exact.
      const Tensor<double> x =
          check::cast<double>(check::cast<std::int64_t>(devices::normal({outputs, n}, 2) * 8));
      devices::each([&](Device device) {
        CHECK(check::same(sum(check::cast<float>(x).to(device), 1), check::cast<float>(sum(x, 1))));
        CHECK(check::same(sum(x.to(device), 0), sum(x, 0)));
      });
    }
  }
  devices::each([](Device device) {
    CHECK(check::same(sum(zeros<float>({3, 0}, device), 1), zeros<float>({3})));
    CHECK(sum(zeros<float>({0, 3}, device), 1).shape() == Shape{0});
    CHECK(check::same(mean(ones<float>({3, 4}, device), 1), ones<float>({3})));
  });
}

TEST_CASE("sum and mean of bfloat16: summed in float and rounded once, on every device") {
  // Whole numbers whose sums float holds: the order does not matter, the rounding does.
  const Tensor<double> whole =
      check::cast<double>(check::cast<std::int64_t>(devices::normal({5, 33, 7}, 4) * 30));
  const Tensor<bfloat16> x = check::cast<bfloat16>(whole);
  for (const Shape& dims : {Shape{}, Shape{0}, Shape{2}, Shape{0, 1}, Shape{1, 2}}) {
    CAPTURE(dims);
    const Tensor<bfloat16> expected = sum(x, dims), average = mean(x, dims);
    const auto gradient = [&](Device device) {
      Tensor<bfloat16> leaf = x.to(device).clone();
      leaf.requires_grad_();
      const Tensor<bfloat16> y = mean(leaf, dims);
      y.backward(ones<bfloat16>(y.shape(), device));
      return leaf.grad().to(Device::cpu());
    };
    const Tensor<bfloat16> slope = gradient(Device::cpu());
    devices::each([&](Device device) {
      CHECK(check::same(sum(x.to(device), dims).to(Device::cpu()), expected));
      CHECK(check::same(mean(x.to(device), dims).to(Device::cpu()), average));
      CHECK(check::same(gradient(device), slope));
    });
  }
}

TEST_CASE("bfloat16: the gradient of what was broadcast is summed on every device") {
  const Tensor<bfloat16> x = check::cast<bfloat16>(devices::normal({5, 33}, 5)),
                         bias = check::cast<bfloat16>(devices::normal({33}, 6));
  const auto gradient = [&](Device device) {
    Tensor<bfloat16> leaf = bias.to(device).clone();
    leaf.requires_grad_();
    const Tensor<bfloat16> y = x.to(device) + leaf;
    y.backward(ones<bfloat16>(y.shape(), device));
    return leaf.grad().to(Device::cpu());
  };
  devices::each([&](Device device) {
    CHECK(check::same(gradient(device), full<bfloat16>({33}, bfloat16(5.0F))));
  });
}
