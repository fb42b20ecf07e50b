#include "tandem/ops/where.hpp"

#include <cmath>

#include "golden.hpp"
#include "tandem/ops/arithmetic.hpp"

using namespace tandem;

TEST_CASE("where agrees with PyTorch") {
  const Tensor<bool> mask = golden::mask("where.broadcast.mask");
  golden::compare("where.broadcast", {"a", "b"},
                  [&](const auto& x) { return where(mask, x[0], x[1]); });
  const Tensor<bool> other = golden::mask("where.scalar.mask");
  golden::compare("where.scalar", {"a"}, [&](const auto& x) { return where(other, x[0], 2.5); });
}

TEST_CASE("where: gradients, with each operand broadcast") {
  for (const std::int64_t n : {1, 3, 7, 33}) {
    std::vector<bool> bits;
    for (std::int64_t i = 0; i < 3 * n; ++i) bits.push_back(i % 2 == 0);
    const Tensor<bool> wide = from_vector<bool, bool>(bits, {3, n});
    const Tensor<bool> column = wide.slice(1, 0, 1);
    for (const Tensor<bool>& c : {wide, column}) {
      check::gradients([&](const auto& v) { return where(c, v[0], v[1]); },
                       {check::normal({3, n}, 1), check::normal({3, 1}, 2)});
      check::gradients([&](const auto& v) { return where(c, 2.0, v[0]) + where(c, v[0], -1); },
                       {check::normal({3, n}, 3)});
    }
  }
}

TEST_CASE("where: the branch not taken has no influence") {
  const Tensor<bool> c = tensor<bool>({true, false});
  const Tensor<float> a = tensor<float>({1, NAN}), b = tensor<float>({NAN, 2});
  a.requires_grad_();
  const Tensor<float> y = where(c, a, b);
  CHECK(y.to_vector() == std::vector<float>{1, 2});
  y.backward(tensor<float>({3, NAN}));
  CHECK(a.grad().to_vector() == std::vector<float>{3, 0});
  CHECK(where(c, tensor<std::int64_t>({1, 2}), 7).to_vector() == std::vector<std::int64_t>{1, 7});
  CHECK(where(zeros<bool>({0, 3}), zeros<float>({3}), 1).shape() == Shape{0, 3});
  CHECK(check::message([&] { where(c, zeros<float>({3}), 0); }) ==
        "[where] shapes do not broadcast: (2,) and (3,)");
}
