/// Ops that move elements: split, chunk, repeat, flip, roll, tril, triu; and indices: one_hot,
/// nonzero.

#include "golden.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/ops/flip.hpp"
#include "tandem/ops/nonzero.hpp"
#include "tandem/ops/one_hot.hpp"
#include "tandem/ops/repeat.hpp"
#include "tandem/ops/roll.hpp"
#include "tandem/ops/split.hpp"
#include "tandem/ops/tril.hpp"

using namespace tandem;
using Ints = std::vector<std::int64_t>;

TEST_CASE("split, chunk: views, sizes, gradients") {
  const Tensor<double> x = check::normal({7, 3}, 1);
  const auto sizes = [](const std::vector<Tensor<double>>& parts) {
    Ints out;
    for (const Tensor<double>& part : parts) out.push_back(part.size(0));
    return out;
  };
  CHECK(sizes(split(x, 3)) == Ints{3, 3, 1});
  CHECK(sizes(split(x, 9)) == Ints{7});
  CHECK(sizes(split(x, {2, 0, 5})) == Ints{2, 0, 5});
  CHECK(sizes(chunk(x, 4)) == Ints{2, 2, 2, 1});
  CHECK(sizes(chunk(x, 5)) == Ints{2, 2, 2, 1});
  CHECK(chunk(x, 3, -1)[2].shape() == Shape{7, 1});
  CHECK(check::same(split(x, 3)[1], x.slice(0, 3, 6)));
  CHECK(split(x, 3)[1].storage() == x.storage());
  CHECK(split(zeros<float>({0, 2}), 3).size() == 1);
  CHECK(chunk(zeros<float>({0, 2}), 3).size() == 3);
  check::gradients([](const auto& in) { return split(in[0], {2, 4, 1})[1]; }, {x});
  check::gradients([](const auto& in) { return chunk(in[0], 2, 1)[0]; }, {x});
  CHECK(check::message([&] { split(x, 0); }) == "[split] the size must be at least 1, it is 0");
  CHECK(check::message([&] {
          split(x, {2, 6});
        }) == "[split] a size of 6 does not fit behind the first 2 of dimension 0 of shape (7, 3)");
  CHECK(check::message([&] {
          split(x, {2, 4});
        }) == "[split] the sizes are 6 together, dimension 0 of shape (7, 3) is 7");
  CHECK(check::message([&] { chunk(x, 0); }) == "[chunk] there must be at least 1 part, not 0");
  CHECK(check::message([&] { chunk(x, 2, 2); }) ==
        "[chunk] dimension 2 is out of range for a tensor of 2 dimensions");
}

TEST_CASE("repeat, flip, roll, tril, triu agree with PyTorch") {
  golden::compare("repeat.rows", {"x"}, [](const auto& x) { return repeat(x[0], {2, 1, 3}); });
  golden::compare("flip.both", {"x"}, [](const auto& x) { return flip(x[0], {0, 1}); });
  golden::compare("roll.two", {"x"}, [](const auto& x) { return roll(x[0], {1, -2}, {0, 1}); });
  golden::compare("tril.minus_1", {"x"}, [](const auto& x) { return tril(x[0], -1); });
  golden::compare("triu.plus_1", {"x"}, [](const auto& x) { return triu(x[0], 1); });
}

TEST_CASE("repeat, flip, roll, tril, triu: gradients, layouts") {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 7}, Shape{2, 3, 5}}) {
    const Tensor<double> x = check::normal(shape, 1);
    Shape times = Shape::filled(shape.rank(), 2);
    times[1] = 3;
    check::gradients([&](const auto& in) { return repeat(in[0], times); }, {x});
    check::gradients([](const auto& in) { return flip(in[0], 1); }, {x});
    check::gradients([](const auto& in) { return roll(in[0], -4, -1); }, {x});
    check::gradients([](const auto& in) { return tril(in[0]); }, {x});
    check::gradients([](const auto& in) { return triu(in[0]); }, {x});
  }
}

TEST_CASE("repeat: sizes, eight dimensions, memory of its own, messages") {
  const Tensor<std::uint8_t> x = tensor<std::uint8_t>({{1, 2}, {3, 4}});
  CHECK(repeat(x, {1, 2}).to_vector() == std::vector<std::uint8_t>{1, 2, 1, 2, 3, 4, 3, 4});
  CHECK(repeat(x, {2, 1}).to_vector() == std::vector<std::uint8_t>{1, 2, 3, 4, 1, 2, 3, 4});
  CHECK(repeat(x.transpose(0, 1), {1, 2}).to_vector() ==
        std::vector<std::uint8_t>{1, 3, 1, 3, 2, 4, 2, 4});
  CHECK(repeat(x, {0, 3}).shape() == Shape{0, 6});
  const Tensor<float> deep = check::cast<float>(check::normal({1, 2, 1, 2, 1, 2, 1, 2}, 1));
  const Tensor<float> twice = repeat(deep, {2, 1, 1, 2, 1, 1, 1, 2});
  CHECK(twice.shape() == Shape{2, 2, 1, 4, 1, 2, 1, 4});
  CHECK(twice.at({1, 1, 0, 3, 0, 0, 0, 2}) == deep.at({0, 1, 0, 1, 0, 0, 0, 0}));
  CHECK(repeat(deep, Shape::filled(8, 1)).storage() != deep.storage());
  CHECK(check::message([&] { repeat(x, {2}); }) ==
        "[repeat] shape (2, 2) needs 2 numbers of times or more: (2,)");
  CHECK(check::message([&] { repeat(x, {2, -1}); }) == "[repeat] nothing can be repeated -1 times");
}

TEST_CASE("flip, roll: every shift, empty, messages") {
  const Tensor<std::int64_t> x = arange<std::int64_t>(5);
  CHECK(flip(x, 0).to_vector() == Ints{4, 3, 2, 1, 0});
  CHECK(roll(x, 2, 0).to_vector() == Ints{3, 4, 0, 1, 2});
  CHECK(roll(x, -1, 0).to_vector() == Ints{1, 2, 3, 4, 0});
  for (std::int64_t shift = -12; shift <= 12; ++shift) {
    const Tensor<std::int64_t> y = roll(x, shift, 0);
    for (std::int64_t i = 0; i < 5; ++i) CHECK(y.at({i}) == ((i - shift) % 5 + 5) % 5);
    CHECK(y.storage() != x.storage());
  }
  CHECK(flip(zeros<float>({2, 0}), {0, 1}).shape() == Shape{2, 0});
  CHECK(roll(zeros<float>({2, 0}), 3, 1).shape() == Shape{2, 0});
  CHECK(check::message([&] { flip(x, Shape()); }) == "[flip] no dimension was given");
  CHECK(check::message([&] { flip(x, {0, 0}); }) == "[flip] dimension 0 appears twice in (0, 0)");
  CHECK(check::message([&] {
          roll(x, {1, 2}, {0});
        }) == "[roll] shifts (1, 2) were given for dimensions (0,)");
  CHECK(check::message([&] { roll(x, 1, 1); }) ==
        "[roll] dimension 1 is out of range for a tensor of 1 dimensions");
}

TEST_CASE("tril, triu: every diagonal, types, what is left out") {
  const Tensor<double> x = check::normal({2, 3, 5}, 1);
  for (std::int64_t k = -7; k <= 7; ++k) {
    const Tensor<double> lower = tril(x, k), upper = triu(x, k);
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t i = 0; i < 3; ++i) {
        for (std::int64_t j = 0; j < 5; ++j) {
          CHECK(lower.at({b, i, j}) == (j - i <= k ? x.at({b, i, j}) : 0));
          CHECK(upper.at({b, i, j}) == (j - i >= k ? x.at({b, i, j}) : 0));
        }
      }
    }
  }
  CHECK(check::same(tril(x, INT64_MIN), zeros<double>({2, 3, 5})));
  CHECK(check::same(tril(x, INT64_MAX), x));
  CHECK(tril(full<float>({2, 2}, NAN)).at({0, 1}) == 0);
  CHECK(tril(full<bool>({2, 2}, true)).to_vector() == std::vector<bool>{true, false, true, true});
  CHECK(triu(ones<float>({0, 3})).shape() == Shape{0, 3});
  CHECK(check::message([] { tril(ones<float>({3})); }) ==
        "[tril] needs rows and columns, the shape is (3,)");
}

TEST_CASE("one_hot: every class, shapes, types, messages") {
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({{2, 0}, {1, 2}});
  const Tensor<float> y = one_hot<float>(ids, 4);
  CHECK(y.shape() == Shape{2, 2, 4});
  for (std::int64_t i = 0; i < 2; ++i) {
    for (std::int64_t j = 0; j < 2; ++j) {
      for (std::int64_t c = 0; c < 4; ++c) {
        CHECK(y.at({i, j, c}) == (ids.at({i, j}) == c ? 1.0F : 0.0F));
      }
    }
  }
  CHECK(one_hot(ids.transpose(0, 1)[0], 3).to_vector() == Ints{0, 0, 1, 0, 1, 0});
  CHECK(one_hot<bool>(tensor<std::int64_t>(1), 2).to_vector() == std::vector<bool>{false, true});
  CHECK(one_hot(zeros<std::int64_t>({0}), 0).shape() == Shape{0, 0});
  CHECK(check::message([&] { one_hot(ids, 2); }) ==
        "[one_hot] id 2 at position 0 is out of range: there are 2 classes");
  CHECK(check::message([] {
          one_hot(tensor<std::int64_t>({0, -1}), 2);
        }) == "[one_hot] id -1 at position 1 is out of range: there are 2 classes");
  CHECK(check::message([&] { one_hot(ids, -1); }) == "[one_hot] there cannot be -1 classes");
}

TEST_CASE("nonzero: as PyTorch, layouts, types; refuses to cut the graph") {
  CHECK(check::same(nonzero(golden::get("sort.rising.x")), golden::ids("nonzero.indices")));
  const Tensor<float> x = tensor<float>({{0, NAN, -0.0F}, {1e-45F, 0, 7}});
  CHECK(nonzero(x).to_vector() == Ints{0, 1, 1, 0, 1, 2});
  CHECK(nonzero(x.transpose(0, 1)).to_vector() == Ints{0, 1, 1, 0, 2, 1});
  CHECK(nonzero(tensor<bool>({false, true, true})).to_vector() == Ints{1, 2});
  CHECK(nonzero(zeros<float>({2, 3})).shape() == Shape{0, 2});
  CHECK(nonzero(tensor<float>(3.0F)).shape() == Shape{1, 0});
  CHECK(nonzero(zeros<std::int64_t>({0, 3})).shape() == Shape{0, 2});
  x.requires_grad_();
  CHECK(check::message([&] { nonzero(x); }) ==
        "[nonzero] has no backward, but an input needs a gradient: detach() it or use NoGrad");
  CHECK(nonzero(x.detach() > 5).to_vector() == Ints{1, 2});
}
