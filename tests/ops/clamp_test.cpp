#include "tandem/ops/clamp.hpp"

#include <cmath>

#include "golden.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/arithmetic.hpp"

using namespace tandem;

TEST_CASE("clamp agrees with PyTorch") {
  golden::compare("clamp.both", {"x"}, [](const auto& x) { return clamp(x[0], -0.5, 0.7); });
  golden::compare("clamp_min.half", {"x"}, [](const auto& x) { return clamp_min(x[0], -0.5); });
  golden::compare("clamp_max.half", {"x"}, [](const auto& x) { return clamp_max(x[0], 0.5); });
}

TEST_CASE("clamp: gradients and values") {
  for (const std::int64_t n : {1, 3, 7, 31, 33}) {
    // Points on both sides of the bounds, none within a step of them, the first one inside.
    const Tensor<double> x({n});
    for (std::int64_t i = 0; i < n; ++i) x.set({i}, static_cast<double>(i * 7 % 11) * 0.37);
    check::gradients([](const auto& v) { return clamp(v[0], -1, 2.1); }, {x});
    check::gradients([](const auto& v) { return clamp_min(v[0], -0.3) * 2.0; }, {x});
    check::gradients([](const auto& v) { return clamp_max(v[0], 2.1); }, {x});
  }
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    const Tensor<float> x = tensor<float>({-1, 0, 1, 0.5F, NAN, INFINITY, -INFINITY});
    x.requires_grad_();
    const Tensor<float> y = clamp(x, 0, 1);
    CHECK(check::same(y, tensor<float>({0, 0, 1, 0.5F, NAN, 1, 0})));
    y.backward(ones<float>({7}));
    CHECK(x.grad().to_vector() == std::vector<float>{0, 1, 1, 1, 0, 0, 0});  // the bounds count
  }
  CHECK(clamp(tensor<std::int32_t>({-5, 3, 9}), 0, 4).to_vector() ==
        std::vector<std::int32_t>{0, 3, 4});
  CHECK(clamp_max(tensor<std::uint8_t>({5, 250}), 100).to_vector() ==
        std::vector<std::uint8_t>{5, 100});
}

TEST_CASE("clamp: messages") {
  const Tensor<float> x = zeros<float>({2});
  CHECK(check::message([&] { clamp(x, 2, 1); }) ==
        "[clamp] the lower bound 2 is above the upper bound 1");
  CHECK(check::message([&] { clamp_min(x, NAN); }) == "[clamp_min] a bound is NaN");
}
