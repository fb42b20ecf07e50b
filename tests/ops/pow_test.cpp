#include "tandem/ops/pow.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("pow") {
  for (const double p : {-4.0, -1.0, 1.0, 2.0, 3.0, 0.5, 2.5, -1.5, 7.0}) {
    INFO("p = ", p);
    // Four multiplications and a division; the C library's pow is better than that.
    unary::check(
        "pow", [p](const auto& x) { return pow(x, p); },
        [p](long double x) { return std::pow(x, static_cast<long double>(p)); }, 0.5, 3, 3);
  }
}

TEST_CASE("pow agrees with PyTorch") {
  golden::compare("pow.p2_5", {"x"}, [](const auto& x) { return pow(x[0], 2.5); });
  golden::compare("pow.minus_3", {"x"}, [](const auto& x) { return pow(x[0], -3); });
}

TEST_CASE("pow: zero and negative arguments") {
  const Tensor<double> x = tensor<double>({0, -2, 3});
  x.requires_grad_();
  pow(x, 0).backward(ones<double>({3}));
  CHECK(x.grad().to_vector() == std::vector<double>{0, 0, 0});
  x.zero_grad();
  const Tensor<double> cube = pow(x, 3);
  CHECK(cube.to_vector() == std::vector<double>{0, -8, 27});
  cube.backward(ones<double>({3}));
  CHECK(x.grad().to_vector() == std::vector<double>{0, 12, 27});
  CHECK(std::isnan(pow(tensor<double>({-2}), 0.5).at({0})));
  CHECK(pow(tensor<float>({0}), -2).at({0}) == std::numeric_limits<float>::infinity());
}
