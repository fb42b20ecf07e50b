#include "tandem/ops/index_select.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("index_select agrees with PyTorch") {
  const Tensor<std::int64_t> ids = golden::ids("index_select.dim1.index");
  golden::compare("index_select.dim1", {"x"},
                  [&](const auto& x) { return index_select(x[0], 1, ids); });
}

TEST_CASE("index_select picks along any dimension") {
  const Tensor<float> x = tensor<float>({{1, 2, 3}, {4, 5, 6}});
  CHECK(index_select(x, 0, tensor<std::int64_t>({1, 1, 0})).to_vector() ==
        std::vector<float>{4, 5, 6, 4, 5, 6, 1, 2, 3});
  CHECK(index_select(x, -1, tensor<std::int64_t>({2, 0})).to_vector() ==
        std::vector<float>{3, 1, 6, 4});
  const Tensor<float> none = index_select(x, 1, Tensor<std::int64_t>(Shape{0}));
  CHECK(none.shape() == Shape{2, 0});
  // Integers have no gradient but can be selected.
  CHECK(index_select(tensor<std::int64_t>({7, 8, 9}), 0, tensor<std::int64_t>({2})).item() == 9);
}

TEST_CASE("index_select: strided inputs, gradients") {
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({2, 0, 2, 1});
  for (int dim : {0, 1, 2}) {
    check::gradients([&](const auto& x) { return index_select(x[0], dim, ids); },
                     {check::normal({3, 4, 3}, 1)});
  }
  const Tensor<double> x = check::normal({3, 5}, 2), t = x.transpose(0, 1);
  CHECK(check::same(index_select(t, 1, ids), index_select(t.clone(), 1, ids)));
}

TEST_CASE("index_select's backward has the same bits for any thread count") {
  const Tensor<std::int64_t> ids(Shape{5000});
  for (std::int64_t i = 0; i < 5000; ++i) ids.mutable_data()[i] = i * i % 7;
  const Tensor<float> g = check::cast<float>(check::normal({5000, 300}, 3));
  check::any_thread_count([&] {
    const Tensor<float> x = zeros<float>({7, 300});
    x.requires_grad_();
    index_select(x, 0, ids).backward(g);
    return std::vector{x.grad()};
  });
}

TEST_CASE("index_select says what is wrong") {
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(check::message([&] {
          index_select(x, 1, tensor<std::int64_t>({0, 3}));
        }) == "[index_select] index 3 at position 1 is out of range: there are 3");
  CHECK(check::message([&] { index_select(x, 0, tensor<std::int64_t>({-1})); }) ==
        "[index_select] index -1 at position 0 is out of range: there are 2");
  CHECK(check::message([&] {
          index_select(x, 0, zeros<std::int64_t>({1, 1}));
        }) == "[index_select] the ids must have one dimension, their shape is (1, 1)");
  CHECK(check::message([&] { index_select(x, 2, tensor<std::int64_t>({0})); }) ==
        "[index_select] dimension 2 is out of range for a tensor of 2 dimensions");
}
