#include "tandem/ops/gelu.hpp"

#include <limits>

#include "unary.hpp"

using namespace tandem;

TEST_CASE("gelu") {
  const auto f = [](const auto& x) { return gelu(x); };
  // erf is near -1 for negative x: its units are those of 1, times |x| / 2.
  unary::check(
      "gelu", f, [](long double x) { return x * std::erfc(-x / std::sqrt(2.0L)) / 2; }, -6, 6, 6,
      2);
  unary::golden("gelu", f);
}

TEST_CASE("gelu: the form with tanh") {
  const auto f = [](const auto& x) { return gelu(x, GeluForm::tanh); };
  // σ(2u) passes on |2u| times what 2u rounds, below 30 here: 4 roundings of it, and 2 of its own.
  const auto reference = [](long double x) {
    const long double u = std::sqrt(2 / std::acos(-1.0L)) * (x + 0.044715L * x * x * x);
    return x / (1 + std::exp(-2 * u));
  };
  unary::check("gelu tanh", f, reference, -6, 6, 130);
  unary::golden("gelu_tanh", f);
  const Tensor<double> x = check::normal({1000}, 1) * 2;
  CHECK(check::distance(f(x), gelu(x)) < 0.0005);
  CHECK(check::distance(f(x), gelu(x)) > 0.0001);
  CHECK(check::same(gelu(x, GeluForm::exact), gelu(x)));
  const Tensor<float> far = tensor<float>({-1e20F, -40, 40, 1e20F});
  far.requires_grad_();
  const Tensor<float> y = f(far);
  CHECK(y.to_vector() == std::vector<float>{0, 0, 40, 1e20F});
  y.backward(ones<float>({4}));
  CHECK(far.grad().to_vector() == std::vector<float>{0, 0, 1, 1});
}

TEST_CASE("gelu: special values") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] : {std::pair<double, double>{0.0, 0.0}, {30.0, 30.0}, {nan, nan}}) {
    INFO("x = ", x);
    CHECK(check::same(gelu(full<double>({5}, x)), full<double>({5}, y)));
    CHECK(check::same(gelu(full<float>({5}, static_cast<float>(x))),
                      full<float>({5}, static_cast<float>(y))));
  }
}
