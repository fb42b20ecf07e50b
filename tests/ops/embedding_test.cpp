#include "tandem/ops/embedding.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("embedding agrees with PyTorch") {
  const Tensor<std::int64_t> ids = golden::ids("embedding.rows.ids");
  golden::compare("embedding.rows", {"weight"},
                  [&](const auto& x) { return embedding(ids, x[0]); });
}

TEST_CASE("embedding: shapes of ids, strided tables, gradients") {
  const Tensor<double> table = check::normal({6, 5}, 1);
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 1, 3}}) {
    Tensor<std::int64_t> ids(shape);
    for (std::int64_t i = 0; i < ids.numel(); ++i) ids.mutable_data()[i] = 5 * i % 4;
    Shape expected = shape;
    expected.push_back(5);
    CHECK(embedding(ids, table).shape() == expected);
    check::gradients([&](const auto& x) { return embedding(ids, x[0]); }, {table});
  }
  CHECK(embedding(Tensor<std::int64_t>(Shape{0, 2}), table).shape() == Shape{0, 2, 5});
  // Ids in any layout.
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({{0, 1, 2}, {3, 4, 5}}).transpose(0, 1);
  CHECK(check::same(embedding(ids, table), embedding(ids.clone(), table)));
}

TEST_CASE("embedding says what is wrong") {
  const Tensor<float> table = zeros<float>({4, 2});
  CHECK(check::message([&] {
          embedding(tensor<std::int64_t>({1, 4}), table);
        }) == "[embedding] index 4 at position 1 is out of range: there are 4");
  CHECK(check::message([&] { embedding(tensor<std::int64_t>({1}), zeros<float>({4})); }) ==
        "[embedding] the table must have two dimensions, its shape is (4,)");
}
