#include "tandem/ops/prod.hpp"

#include <cmath>

#include "golden.hpp"

using namespace tandem;

TEST_CASE("prod agrees with PyTorch, gradients beside one zero and several included") {
  golden::compare("prod.dim2", {"x"}, [](const auto& x) { return prod(x[0], 2); });
  golden::compare("prod.dim0", {"x"}, [](const auto& x) { return prod(x[0], 0, true); });
  golden::compare("prod.all", {"x"}, [](const auto& x) { return prod(x[0]); });
}

TEST_CASE("prod: gradients along every dimension, any layout") {
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{3, 70}, Shape{2, 5, 3}}) {
    const Tensor<double> x = check::normal(shape, 1);
    x.mutable_data()[x.numel() / 2] = 0;
    for (int d = 0; d < shape.rank(); ++d) {
      if (shape[d] > 10) continue;  // a product of 70 numbers has no digits left for differences
      check::gradients([d](const auto& v) { return prod(v[0], d); }, {x});
      check::gradients([d](const auto& v) { return prod(v[0], d, true); }, {x});
    }
  }
}

TEST_CASE("prod: the gradient beside a 0 where the others overflow") {
  const auto gradient = [](const Shape& shape, int dim, const std::vector<float>& values) {
    Tensor<float> x = from_vector<float>(values, shape);
    x.requires_grad_();
    const Tensor<float> y = prod(x, dim);
    y.backward(ones<float>(y.shape()));
    return x.grad();
  };
  const float big = 1e30F;
  // Elements before and behind the 0; two; all finite without one; NaN stays what it is.
  CHECK(check::same(gradient({4}, 0, {big, big, 0, 2}), tensor<float>({0, 0, INFINITY, 0})));
  CHECK(check::same(gradient({4}, 0, {2, 0, big, big}), tensor<float>({0, INFINITY, 0, 0})));
  CHECK(check::same(gradient({4}, 0, {big, big, 0, 0}), zeros<float>({4})));
  CHECK(check::same(gradient({4, 2}, 0, {big, 2, big, 0, 0, 3, 2, 5}),
                    tensor<float>({{0, 0}, {0, 30}, {INFINITY, 0}, {0, 0}})));
  CHECK(check::same(gradient({3}, 0, {NAN, 0, 2}), tensor<float>({0, NAN, NAN})));
}

TEST_CASE("prod: integers wrap around, bits, none, bfloat16, threads") {
  const Tensor<std::int64_t> all = prod(tensor<std::int32_t>({{1 << 30, 4, -3}, {5, 6, 7}}), 1);
  CHECK(all.to_vector() == std::vector<std::int64_t>{-3 * (std::int64_t{1} << 32), 210});
  CHECK(prod(tensor<std::int64_t>({std::int64_t{1} << 62, 4})).item() == 0);
  CHECK(prod(tensor<bool>({{true, true}, {false, true}}), -1).to_vector() ==
        std::vector<std::int64_t>{1, 0});
  CHECK(prod(zeros<float>({0, 3}), 0).to_vector() == std::vector<float>{1, 1, 1});
  CHECK(prod(zeros<float>({0})).item() == 1);
  CHECK(prod(zeros<float>({0, 3}), 1).shape() == Shape{0});
  CHECK(prod(tensor<float>(-2.5F)).item() == -2.5F);
  CHECK(std::isnan(prod(tensor<double>({0, NAN})).item()));
  const Tensor<bfloat16> half = check::cast<bfloat16>(check::normal({5, 9}, 1));
  CHECK(check::same(prod(half, 1), prod(half.to<float>(), 1).to<bfloat16>()));
  const Tensor<float> x = check::cast<float>(check::normal({65, 3, 67}, 2));
  check::any_thread_count([&] {
    const Tensor<float> leaf = x.clone();
    leaf.requires_grad_();
    const Tensor<float> y = prod(leaf, 1);
    y.backward(ones<float>(y.shape()));
    return std::vector<Tensor<float>>{y.detach(), leaf.grad()};
  });
  CHECK(check::message([] { prod(ones<float>({2}), 1); }) ==
        "[prod] dimension 1 is out of range for a tensor of 1 dimensions");
}
