#include "tandem/ops/avg_pool3d.hpp"

#include <limits>

#include "devices.hpp"

using namespace tandem;

namespace {

const std::vector<AvgPool3dOptions> avg_pools = {
    {.kernel = Triple::all(2)},
    {.kernel = {2, 3, 3}, .stride = Triple::all(1)},
    {.kernel = Triple::all(3),
     .stride = Triple::all(2),
     .padding = Padding3d::same(),
     .count_padding = false},
    {.kernel = Triple::all(3), .stride = {2, 2, 1}, .padding = Padding3d::same()},
    {.kernel = {3, 2, 3},
     .stride = {1, 1, 2},
     .padding = {{1, 2}, {0, 1}, {2, 2}},
     .count_padding = false},
    {.kernel = {3, 2, 3}, .stride = {1, 1, 2}, .padding = {{1, 2}, {0, 1}, {2, 2}}},
    {.kernel = {1, 2, 1}, .stride = {2, 1, 3}},
};

/// y and dx.
template <class T>
std::vector<Tensor<T>> avg_pool_run(Device device, const Tensor<T>& x,
                                    const AvgPool3dOptions& options) {
  Tensor<T> leaf = x.to(device).clone();
  leaf.requires_grad_();
  const Tensor<T> y = avg_pool3d(leaf, options);
  y.backward(check::cast<T>(devices::normal(y.shape(), 3)).to(device));
  return {y.detach().to(Device::cpu()), leaf.grad().to(Device::cpu())};
}

}  // namespace

TEST_CASE("avg_pool3d: float and double as the CPU has them, on every device, every window") {
  const auto close = [](const auto& x, const AvgPool3dOptions& options, double eps) {
    const auto expected = avg_pool_run(Device::cpu(), x, options);
    devices::each([&](Device device) {
      const auto got = avg_pool_run(device, x, options);
      // The CPU's sums in the CPU's order, but a product may be fused with the sum: a rounding for
      // each of at most 27 windows over an element, of numbers below 5; and one of 1/m.
      CHECK(check::distance(got[0], expected[0]) <= 2 * 5 * eps);
      CHECK(check::distance(got[1], expected[1]) <= (27 + 2) * 5 * eps);
    });
  };
  for (const AvgPool3dOptions& options : avg_pools) {
    for (const Shape& shape : {Shape{2, 1, 3, 4, 7}, Shape{1, 3, 4, 5, 33}, Shape{2, 2, 3, 3, 3}}) {
      CAPTURE(shape);
      close(check::cast<float>(devices::normal(shape, 1)), options, 0x1p-23);
      close(devices::normal(shape, 2), options, 0x1p-52);
    }
  }
}

TEST_CASE("avg_pool3d: NaN and infinities reach the windows that see them and no others") {
  Tensor<float> x = ones<float>({1, 2, 3, 4, 9});
  x.set({0, 0, 1, 1, 4}, NAN);
  x.set({0, 1, 2, 3, 8}, INFINITY);
  x.set({0, 1, 0, 0, 0}, -INFINITY);
  for (const AvgPool3dOptions& options : avg_pools) {
    const Tensor<float> expected = avg_pool3d(x, options);
    devices::each([&](Device device) {
      CHECK(check::distance(avg_pool3d(x.to(device), options), expected) <= 2 * 0x1p-23);
    });
  }
}

TEST_CASE("avg_pool3d: gradients on every device; no planes; layouts") {
  devices::each([](Device device) {
    for (const AvgPool3dOptions& options : avg_pools) {
      devices::gradients(device, [&](const auto& v) { return avg_pool3d(v[0], options); },
                         {check::normal({2, 1, 3, 3, 5}, 5)});
      for (const Shape& shape : {Shape{0, 2, 3, 4, 5}, Shape{2, 0, 3, 4, 5}}) {
        Tensor<float> none = zeros<float>(shape, device);
        none.requires_grad_();
        const Tensor<float> y = avg_pool3d(none, options);
        y.backward(zeros<float>(y.shape(), device));
        CHECK(none.grad().shape() == shape);
      }
    }
    const Tensor<float> x = check::cast<float>(devices::normal({2, 5, 3, 4, 7}, 6)),
                        turned = x.transpose(1, 4);
    CHECK(check::distance(avg_pool3d(turned.to(device), avg_pools[3]),
                          avg_pool3d(turned.contiguous(), avg_pools[3])) <= 2 * 5 * 0x1p-23);
  });
}

TEST_CASE("avg_pool3d: the same bits in any order of the threads") {
  for (const AvgPool3dOptions& options : avg_pools) {
    devices::same_in_every_order([&](Device device) {
      return avg_pool_run(device, check::cast<float>(devices::normal({1, 3, 4, 5, 33}, 7)),
                          options);
    });
  }
}
