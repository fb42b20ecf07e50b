#include "tandem/ops/gather.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("gather agrees with PyTorch") {
  for (const int dim : {0, 1}) {
    const std::string key = dim == 0 ? "gather.dim0" : "gather.dim1";
    const Tensor<std::int64_t> index = golden::ids(key + ".index");
    golden::compare(key, {"x"}, [&](const auto& x) { return gather(x[0], dim, index); });
  }
}

TEST_CASE("gather: repeated indices, strided inputs, gradients") {
  const Tensor<double> x = check::normal({3, 4, 2}, 1);
  const Tensor<std::int64_t> index = tensor<std::int64_t>({3, 3, 0, 1, 2, 2}).view({3, 2, 1});
  check::gradients([&](const auto& v) { return gather(v[0], 1, index); }, {x});
  const Tensor<std::int64_t> crossed = tensor<std::int64_t>({{0, 1, 2}, {2, 1, 0}}).transpose(0, 1);
  const Tensor<double> y = check::normal({3, 3}, 2).transpose(0, 1);
  for (const int dim : {0, 1}) {
    CHECK(check::same(gather(y, dim, crossed), gather(y.clone(), dim, crossed.clone())));
    check::gradients([&](const auto& v) { return gather(v[0], dim, crossed); }, {y});
  }
  CHECK(gather(x, 0, Tensor<std::int64_t>(Shape{3, 0, 2})).numel() == 0);
}

TEST_CASE("gather says what is wrong") {
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(check::message([&] { gather(x, 1, tensor<std::int64_t>({0})); }) ==
        "[gather] an index of shape (1,) does not fit a tensor of shape (2, 3) along dimension 1");
  CHECK(
      check::message([&] {
        gather(x, 1, zeros<std::int64_t>({3, 1}));
      }) ==
      "[gather] an index of shape (3, 1) does not fit a tensor of shape (2, 3) along dimension 1");
  CHECK(check::message([&] {
          gather(x, 0, full<std::int64_t>({1, 1}, 2));
        }) == "[gather] index 2 is out of range for dimension 0 of shape (2, 3)");
}
