#include "tandem/ops/avg_pool3d.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {
auto avg_pool_with(const AvgPool3dOptions& options) {
  return [options](const std::vector<Tensor<double>>& v) { return avg_pool3d(v[0], options); };
}
}  // namespace

TEST_CASE("avg_pool3d agrees with PyTorch") {
  golden::compare("avg_pool3d.valid", {"x"},
                  avg_pool_with({.kernel = {2, 4, 3}, .stride = Triple::all(1)}));
  golden::compare(
      "avg_pool3d.counted", {"x"},
      avg_pool_with({.kernel = Triple::all(3), .stride = {1, 2, 3}, .padding = Padding3d::all(1)}));
  golden::compare("avg_pool3d.inside", {"x"},
                  avg_pool_with({Triple::all(3), Triple::all(2), Padding3d::all(1), false}));
}

TEST_CASE("avg_pool3d: gradients, odd shapes, in every layout") {
  for (const std::int64_t n : {1, 3, 7, 33}) {
    const Tensor<double> x = check::normal({2, 1, 3, 2, n}, 1);
    check::gradients(avg_pool_with({.kernel = {3, 2, n}}), {x});
    for (const bool counted : {false, true}) {
      check::gradients(avg_pool_with({{3, 2, 2}, {1, 2, 1}, Padding3d::same(), counted}), {x});
      check::gradients(avg_pool_with({{2, 2, 1}, {1, 1, 3}, {{1, 0}, {0, 1}, {}}, counted}), {x});
    }
  }
}

TEST_CASE("avg_pool3d: values, same bits for any thread count, messages") {
  const Tensor<float> one = ones<float>({1, 1, 3, 4, 5});
  const AvgPool3dOptions inside{Triple::all(3), Triple::all(2), Padding3d::same(), false};
  CHECK(check::distance(avg_pool3d(one, inside), ones<float>({1, 1, 2, 2, 3})) < 0x1p-22);
  check::any_thread_count([] {
    const Tensor<float> leaf = check::cast<float>(check::normal({4, 5, 6, 17, 23}, 2));
    leaf.requires_grad_();
    const Tensor<float> y = avg_pool3d(leaf, {.kernel = Triple::all(3), .stride = Triple::all(1)});
    y.backward(y.detach());
    return std::vector{y.detach(), leaf.grad()};
  });
  CHECK(avg_pool3d(zeros<float>({2, 0, 3, 3, 3}), {.kernel = Triple::all(2)}).shape() ==
        Shape{2, 0, 1, 1, 1});
  CHECK(check::message([&] {
          avg_pool3d(one, {.kernel = {1, 5, 1}});
        }) == "[avg_pool3d] the kernel's height, 5, is larger than that of x with its padding, 4");
  CHECK(check::message([&] {
          avg_pool3d(one, {{}, {1, -1, 1}, {}, true});
        }) == "[avg_pool3d] the stride along the height must be from 1 to 2^31 - 1, it is -1");
}
