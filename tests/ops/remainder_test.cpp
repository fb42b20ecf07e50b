#include "tandem/ops/remainder.hpp"

#include <limits>

#include "golden.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

TEST_CASE("remainder agrees with PyTorch") {
  golden::compare("remainder.tensors", {"a", "b"},
                  [](const auto& x) { return remainder(x[0], x[1]); });
  golden::compare("remainder.minus_1_5", {"a"},
                  [](const auto& x) { return remainder(x[0], -1.5); });
  const Tensor<std::int64_t> a = arange<std::int64_t>(-7, 8);
  CHECK(check::same(remainder(a.unsqueeze(1), tensor<std::int64_t>({-3, 2, 5})),
                    golden::ids("remainder.integers")));
}

TEST_CASE("remainder: gradients away from the jumps, broadcasting") {
  const Tensor<double> a = tensor<double>({{-7.3, 2.2, 9.3}, {0.4, -0.4, 5.9}});
  for (const Tensor<double>& b :
       {tensor<double>({2.0, -1.5, 0.7}), tensor<double>({{1.7}, {-2.9}})}) {
    check::gradients([](const auto& x) { return remainder(x[0], x[1]); }, {a, b});
  }
  check::gradients([](const auto& x) { return remainder(x[0], 1.9); }, {a});
}

TEST_CASE("remainder: signs, zero, infinity; a gradient of a large quotient") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    CHECK(remainder(tensor<float>({-0.5F, 0.5F, -4, 4, 7}), 2.0).to_vector() ==
          std::vector<float>{1.5F, 0.5F, 0, 0, 1});
    CHECK(remainder(tensor<float>({-0.5F, 0.5F, 1e8F}), tensor<float>({-2})).to_vector() ==
          std::vector<float>{-0.5F, -1.5F, 0});
    CHECK(remainder(tensor<float>({1, -1}), inf).to_vector() == std::vector<float>{1, inf});
    for (const float x :
         remainder(tensor<float>({1, inf, NAN}), tensor<float>({0, 1, 1})).to_vector()) {
      CHECK(std::isnan(x));
    }
  }
  // a/b rounds up to the whole number 8388611, of which it stays a little below.
  const Tensor<float> a = tensor<float>({8388610}), b = tensor<float>({0.99999994F});
  b.requires_grad_();
  remainder(a, b).backward(ones<float>({1}));
  CHECK(b.grad().item() == -8388610.0F);
}

TEST_CASE("remainder: integers, bfloat16, messages") {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  CHECK(remainder(tensor<std::int64_t>({least, -7}), -1).to_vector() ==
        std::vector<std::int64_t>{0, 0});
  CHECK(remainder(tensor<std::int32_t>({-7, 7}), -3).to_vector() ==
        std::vector<std::int32_t>{-1, -2});
  CHECK(remainder(tensor<std::uint8_t>({200, 9}), 7).to_vector() ==
        std::vector<std::uint8_t>{4, 2});
  const Tensor<bfloat16> half = tensor<float>({-0.5F, 5}).to<bfloat16>();
  CHECK(remainder(half, 2).to<float>().to_vector() == std::vector<float>{1.5F, 1});
  CHECK(check::message([] { remainder(tensor<std::int64_t>({1}), 0); }) ==
        "[remainder] an integer was divided by zero");
  CHECK(check::message([] {
          remainder(tensor<std::int64_t>({1, 2}), tensor<std::int64_t>({3, 0}));
        }) == "[remainder] an integer was divided by zero");
  CHECK(check::message([] { remainder(tensor<std::int64_t>({1}), 0.5); }).rfind("[remainder]", 0) ==
        0);
  CHECK(check::message([] { remainder(zeros<float>({2}), zeros<float>({3})); }) ==
        "[remainder] shapes do not broadcast: (2,) and (3,)");
}
