#include "tandem/ops/cat.hpp"

#include "golden.hpp"

using namespace tandem;
using Inputs = std::vector<Tensor<double>>;

TEST_CASE("cat agrees with PyTorch") {
  golden::compare("cat.dim1", {"a", "b"}, [](const Inputs& x) { return cat(x, 1); });
  golden::compare("cat.three", {"a", "b", "c"}, [](const Inputs& x) { return cat(x, 0); });
}

TEST_CASE("cat: gradients along every dimension, one tensor twice, one without a gradient") {
  for (const std::int64_t n : {1, 3, 7, 31}) {
    const Tensor<double> a = check::normal({2, n, 3}, 1), b = check::normal({2, n + 2, 3}, 2);
    check::gradients([](const Inputs& x) { return cat(x, 1); }, {a, b});
    check::gradients([](const Inputs& x) { return cat(Inputs{x[0], x[0]}, -1); }, {a});
    check::gradients([&](const Inputs& x) { return cat(Inputs{b, x[0]}, 1); }, {a});
  }
  check::gradients(
      [](const Inputs& x) {
        return cat(Inputs{x[0].transpose(0, 1), x[1]}, 0);
      },
      {check::normal({3, 5}, 3), check::normal({2, 3}, 4)});
}

TEST_CASE("cat: empty parts, integers, layouts, messages") {
  const Tensor<float> x = tensor<float>({{1, 2}, {3, 4}});
  CHECK(cat<float>({x, zeros<float>({0, 2}), x.transpose(0, 1)}, 0).to_vector() ==
        std::vector<float>{1, 2, 3, 4, 1, 3, 2, 4});
  CHECK(cat<std::int64_t>({tensor<std::int64_t>({1}), tensor<std::int64_t>({2, 3})}).to_vector() ==
        std::vector<std::int64_t>{1, 2, 3});
  // The result does not share memory with a single part.
  const Tensor<float> y = cat<float>({x}, 0);
  y.fill_(0);
  CHECK(x.at({1, 1}) == 4);
  CHECK(check::message([&] {
          cat<float>({x, zeros<float>({2, 3})}, 0);
        }) ==
        "[cat] tensors can differ in dimension 0 only: the first is (2, 2), number 1 is (2, 3)");
  CHECK(check::message([&] {
          cat<float>({x, zeros<float>({2})}, 0);
        }) ==
        "[cat] tensors can differ in dimension 0 only: the first is (2, 2), number 1 is (2,)");
  CHECK(check::message([] { cat(std::vector<Tensor<float>>{}, 0); }) ==
        "[cat] there is nothing to join: the list is empty");
  CHECK(check::message([&] { cat<float>({x}, 2); }) ==
        "[cat] dimension 2 is out of range for a tensor of 2 dimensions");
  CHECK(check::message([&] { cat<float>({tensor<float>(1)}, 0); }) ==
        "[cat] dimension 0 is out of range for a tensor of 0 dimensions");
}
