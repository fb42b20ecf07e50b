#include "tandem/ops/max_pool3d.hpp"

#include "devices.hpp"

using namespace tandem;

namespace {

/// Values from {−1, 0, 1}, some −∞, ∞ and NaN: ties everywhere.
template <class T>
Tensor<T> few_values(const Shape& shape, std::uint64_t seed) {
  std::vector<double> values = check::normal(shape, seed).to_vector();
  for (double& v : values) {
    v = v > 1.8 ? NAN : v > 1.5 ? INFINITY : v < -1.5 ? -INFINITY : v < -0.5 ? -1 : v > 0.5;
  }
  return check::cast<T>(from_vector<double>(values, shape));
}

const std::vector<MaxPool3dOptions> max_pools = {
    {.kernel = Triple::all(2)},
    {.kernel = Triple::all(3),
     .stride = {2, 2, 1},
     .padding = Padding3d::same(),
     .padding_value = 0},
    {.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .padding = Padding3d::same()},
    {.kernel = Triple::all(3), .stride = Triple::all(1), .padding = Padding3d::all(1)},
    {.kernel = {3, 2, 3},
     .stride = {1, 1, 2},
     .padding = {{1, 2}, {0, 1}, {2, 2}},
     .padding_value = 1},
    {.kernel = {1, 2, 1}, .stride = {2, 1, 3}},
    {.kernel = {3, 1, 2},
     .stride = {1, 3, 1},
     .padding = {{2, 0}, {0, 0}, {0, 1}},
     .padding_value = -1},
};

/// y alone, y where a backward follows, and dx.
template <class T>
std::vector<Tensor<T>> max_pool_run(Device device, const Tensor<T>& x,
                                    const MaxPool3dOptions& options) {
  Tensor<T> leaf = x.to(device).clone();
  const Tensor<T> alone = max_pool3d(leaf, options);
  leaf.requires_grad_();
  const Tensor<T> y = max_pool3d(leaf, options);
  y.backward(check::cast<T>(devices::normal(y.shape(), 3)).to(device));
  std::vector<Tensor<T>> out;
  for (const Tensor<T>& t : {alone, y.detach(), leaf.grad()}) out.push_back(t.to(Device::cpu()));
  return out;
}

}  // namespace

TEST_CASE("max_pool3d: the CPU's bits on every device, ties, NaN and padding, gradients too") {
  const auto equal = [](const auto& x, const MaxPool3dOptions& options) {
    const auto expected = max_pool_run(Device::cpu(), x, options);
    devices::each([&](Device device) {
      const auto got = max_pool_run(device, x, options);
      for (std::size_t i = 0; i < 3; ++i) CHECK(check::same(got[i], expected[i]));
    });
  };
  for (const MaxPool3dOptions& options : max_pools) {
    for (const Shape& shape : {Shape{2, 1, 3, 4, 7}, Shape{1, 3, 4, 5, 33}, Shape{2, 2, 3, 3, 3}}) {
      CAPTURE(shape);
      equal(few_values<float>(shape, 1), options);
      equal(few_values<double>(shape, 2), options);
      equal(check::cast<float>(devices::normal(shape, 4)), options);
    }
  }
  equal(full<float>({1, 2, 3, 4, 5}, -INFINITY), max_pools[3]);
}

TEST_CASE("max_pool3d: gradients on every device; no planes; layouts; messages") {
  devices::each([](Device device) {
    for (const MaxPool3dOptions& options : max_pools) {
      devices::gradients(device, [&](const auto& v) { return max_pool3d(v[0], options); },
                         {check::normal({2, 1, 3, 3, 5}, 5)});
      for (const Shape& shape : {Shape{0, 2, 3, 4, 5}, Shape{2, 0, 3, 4, 5}}) {
        Tensor<float> none = zeros<float>(shape, device);
        none.requires_grad_();
        const Tensor<float> y = max_pool3d(none, options);
        y.backward(zeros<float>(y.shape(), device));
        CHECK(none.grad().shape() == shape);
      }
    }
    const Tensor<float> x = few_values<float>({2, 5, 3, 4, 7}, 6), turned = x.transpose(1, 4);
    CHECK(check::same(max_pool3d(turned.to(device), max_pools[1]).to(Device::cpu()),
                      max_pool3d(turned.contiguous(), max_pools[1])));
    CHECK(check::message([&] {
            max_pool3d(ones<float>({1, 1, 2, 2, 2}, device), {.kernel = Triple::all(3)});
          }).rfind("[max_pool3d] the kernel's depth, 3, is larger", 0) == 0);
  });
}

TEST_CASE("max_pool3d: the same bits in any order of the threads") {
  for (const MaxPool3dOptions& options : max_pools) {
    devices::same_in_every_order([&](Device device) {
      return max_pool_run(device, few_values<float>({1, 3, 4, 5, 33}, 7), options);
    });
  }
}
