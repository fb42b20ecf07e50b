#include "tandem/ops/silu.hpp"

#include "unary.hpp"

using namespace tandem;

TEST_CASE("silu") {
  const auto f = [](const auto& x) { return silu(x); };
  // 2 of sigmoid, and a product.
  unary::check(
      "silu", f, [](long double x) { return x / (1 + std::exp(-x)); }, -9, 9, 4);
  unary::golden("silu", f);
  CHECK(silu(tensor<float>({-3000, 0, 3000})).to_vector() == std::vector<float>{0, 0, 3000});
  CHECK(std::isnan(silu(tensor<double>({std::nan("")})).item()));
}
