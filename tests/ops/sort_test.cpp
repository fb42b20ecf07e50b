#include "tandem/ops/sort.hpp"

#include <cmath>
#include <limits>

#include "golden.hpp"
#include "tandem/ops/gather.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;
using Ints = std::vector<std::int64_t>;

TEST_CASE("sort, argsort agree with PyTorch's stable ones, ties included") {
  golden::compare("sort.rising", {"x"}, [](const auto& x) { return sort(x[0], 1).values; });
  golden::compare("sort.falling", {"x"}, [](const auto& x) { return sort(x[0], 0, true).values; });
  const Tensor<double> x = golden::get("sort.rising.x");
  CHECK(check::same(sort(x, 1).indices, golden::ids("sort.rising.indices")));
  CHECK(check::same(argsort(x), golden::ids("sort.rising.indices")));
  CHECK(check::same(argsort(x, 0, true), golden::ids("sort.falling.indices")));
}

TEST_CASE("sort: gradients along every dimension, values belong to their indices") {
  for (const Shape& shape : {Shape{1}, Shape{33}, Shape{3, 7}, Shape{2, 5, 11}}) {
    const Tensor<double> x(shape);  // far apart, so that a step changes no order
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      x.mutable_data()[i] = static_cast<double>(i * 89 % 311) / 50 - 3;
    }
    for (int d = 0; d < shape.rank(); ++d) {
      check::gradients([d](const auto& v) { return sort(v[0], d).values; }, {x});
      check::gradients([d](const auto& v) { return sort(v[0], d, true).values; }, {x});
      const auto [values, indices] = sort(autograd::make_strided(x), d);
      CHECK(check::same(values, gather(x, d, indices)));
      const std::int64_t n = shape[d];
      if (n > 1) CHECK(check::distance(values.slice(d, 1), values.slice(d, 0, n - 1)) > 0);
    }
  }
}

TEST_CASE("sort: NaN is the largest, of equals the first comes first, both ways") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const Tensor<float> x = tensor<float>({NAN, 2, -inf, 2, inf, NAN, -0.0F, 0});
  CHECK(argsort(x).to_vector() == Ints{2, 6, 7, 1, 3, 4, 0, 5});
  CHECK(argsort(x, -1, true).to_vector() == Ints{0, 5, 4, 1, 3, 6, 7, 2});
  CHECK(argsort(zeros<double>({100})).to_vector() == arange<std::int64_t>(100).to_vector());
  CHECK(argsort(zeros<double>({100}), 0, true).to_vector() ==
        arange<std::int64_t>(100).to_vector());
  CHECK(sort(tensor<std::int64_t>({3, -1, 2})).values.to_vector() == Ints{-1, 2, 3});
  CHECK(sort(tensor<bool>({true, false, true})).indices.to_vector() == Ints{1, 0, 2});
  CHECK(sort(tensor<float>({3, 1}).to<bfloat16>()).values.to<float>().to_vector() ==
        std::vector<float>{1, 3});
  CHECK(sort(zeros<float>({2, 0})).indices.shape() == Shape{2, 0});
}

TEST_CASE("sort, argsort: messages") {
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(check::message([&] { sort(x, 2); }) ==
        "[sort] dimension 2 is out of range for a tensor of 2 dimensions");
  CHECK(check::message([&] { argsort(tensor<float>(1.0F)); }) ==
        "[argsort] dimension -1 is out of range for a tensor of 0 dimensions");
  x.requires_grad_();
  CHECK(check::message([&] { argsort(x); }) ==
        "[argsort] has no backward, but an input needs a gradient: detach() it or use NoGrad");
}
