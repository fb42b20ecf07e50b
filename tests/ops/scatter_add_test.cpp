#include "tandem/ops/scatter_add.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("scatter_add agrees with PyTorch") {
  for (const int dim : {0, 1}) {
    const std::string key = concat("scatter_add.dim", dim);
    const Tensor<std::int64_t> index = golden::ids(key + ".index");
    golden::compare(key, {"x", "src"},
                    [&](const auto& x) { return scatter_add(x[0], dim, index, x[1]); });
  }
}

TEST_CASE("scatter_add: repeated indices, strided inputs, gradients") {
  const Tensor<std::int64_t> index = tensor<std::int64_t>({{0, 0, 2}, {2, 1, 2}});
  for (const int dim : {0, 1}) {
    check::gradients([&](const auto& x) { return scatter_add(x[0], dim, index, x[1]); },
                     {check::normal({3, 3}, 1), check::normal({2, 3}, 2)});
  }
  // One of the two inputs without a gradient.
  check::gradients(
      [&](const auto& x) {
        return scatter_add(zeros<double>({3, 3}), 0, index, x[0]);
      },
      {check::normal({2, 3}, 3)});
  const Tensor<float> counts =
      scatter_add(zeros<float>({4}), 0, tensor<std::int64_t>({1, 3, 1}), ones<float>({3}));
  CHECK(counts.to_vector() == std::vector<float>{0, 2, 0, 1});
}

TEST_CASE("scatter_add leaves its input alone") {
  const Tensor<float> x = zeros<float>({2});
  scatter_add(x, 0, tensor<std::int64_t>({1}), ones<float>({1}));
  CHECK(x.to_vector() == std::vector<float>{0, 0});
}

TEST_CASE("scatter_add says what is wrong") {
  const Tensor<float> x = zeros<float>({2});
  CHECK(check::message([&] { scatter_add(x, 0, tensor<std::int64_t>({1}), ones<float>({2})); }) ==
        "[scatter_add] the index has shape (1,), the source (2,)");
  CHECK(check::message([&] { scatter_add(x, 0, tensor<std::int64_t>({2}), ones<float>({1})); }) ==
        "[scatter_add] index 2 is out of range for dimension 0 of shape (2,)");
}
