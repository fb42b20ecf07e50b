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
