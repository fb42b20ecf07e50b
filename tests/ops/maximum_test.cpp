#include "tandem/ops/maximum.hpp"

#include <limits>

#include "golden.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

TEST_CASE("maximum, minimum agree with PyTorch, ties included") {
  golden::compare("maximum.ties", {"a", "b"}, [](const auto& x) { return maximum(x[0], x[1]); });
  golden::compare("minimum.ties", {"a", "b"}, [](const auto& x) { return minimum(x[0], x[1]); });
}

TEST_CASE("maximum, minimum: gradients, broadcasting, layouts") {
  for (const auto& [a, b] :
       {std::pair<Shape, Shape>{{1}, {1}}, {{3, 33}, {33}}, {{2, 1, 5}, {7, 1}}}) {
    const Tensor<double> x = check::normal(a, 1), y = check::normal(b, 2);
    check::gradients([](const auto& in) { return maximum(in[0], in[1]); }, {x, y});
    check::gradients([](const auto& in) { return minimum(in[0], in[1]); }, {x, y});
    const Tensor<double> larger = maximum(x, y), smaller = minimum(x, y);
    CHECK(check::same(larger + smaller, x + y));
  }
  CHECK(maximum(zeros<float>({0, 3}), zeros<float>({3})).shape() == Shape{0, 3});
}

TEST_CASE("maximum, minimum: NaN wins, on every instruction set; types") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    const Tensor<float> a = zeros<float>({40}), b = ones<float>({40});
    a.set({1}, NAN);
    b.set({2}, NAN);
    b.set({3}, inf);
    b.set({4}, -inf);
    const Tensor<float> larger = maximum(a, b), smaller = minimum(a, b);
    CHECK(std::isnan(larger.at({1})));
    CHECK(std::isnan(larger.at({2})));
    CHECK(std::isnan(smaller.at({1})));
    CHECK(std::isnan(smaller.at({2})));
    CHECK(larger.at({3}) == inf);
    CHECK(smaller.at({4}) == -inf);
    CHECK(larger.at({39}) == 1);
    CHECK(smaller.at({39}) == 0);
  }
  const Tensor<double> nan = full<double>({2}, std::nan("")), one = ones<double>({2});
  nan.requires_grad_();
  one.requires_grad_();
  maximum(nan, one).backward(ones<double>({2}));
  CHECK(nan.grad().to_vector() == std::vector<double>{1, 1});
  CHECK(one.grad().to_vector() == std::vector<double>{1, 1});
  CHECK(maximum(tensor<std::uint8_t>({3, 200}), tensor<std::uint8_t>({7})).to_vector() ==
        std::vector<std::uint8_t>{7, 200});
  CHECK(minimum(tensor<std::int64_t>({-3, 9}), tensor<std::int64_t>({2})).to_vector() ==
        std::vector<std::int64_t>{-3, 2});
  const Tensor<bfloat16> half = tensor<float>({1.5F, -2}).to<bfloat16>();
  CHECK(maximum(half, half * 2).to<float>().to_vector() == std::vector<float>{3, -2});
  CHECK(check::message([] { maximum(zeros<float>({2}), zeros<float>({3})); }) ==
        "[maximum] shapes do not broadcast: (2,) and (3,)");
}
