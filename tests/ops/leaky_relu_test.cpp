#include "tandem/ops/leaky_relu.hpp"

#include "unary.hpp"

using namespace tandem;

TEST_CASE("leaky_relu") {
  // The slope in the element type, and a product.
  unary::check(
      "leaky_relu", [](const auto& x) { return leaky_relu(x, 0.25); },
      [](long double x) { return x > 0 ? x : x / 4; }, -9, 9, 1);
  unary::golden("leaky_relu", [](const auto& x) { return leaky_relu(x, 0.2); });
}

TEST_CASE("leaky_relu: the usual slope, 0 and NaN") {
  CHECK(leaky_relu(tensor<double>({-2, 3})).to_vector() == std::vector<double>{-2 * 0.01, 3});
  const Tensor<float> x = tensor<float>({0, -1, 1});
  x.requires_grad_();
  leaky_relu(x, -0.5).backward(full<float>({3}, 2));
  CHECK(x.grad().to_vector() == std::vector<float>{-1, -1, 2});
  CHECK(std::isnan(leaky_relu(full<double>({5}, std::nan(""))).at({4})));
}
