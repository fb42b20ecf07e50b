#include "tandem/ops/allclose.hpp"

#include <cmath>

#include "check.hpp"

using namespace tandem;

TEST_CASE("allclose: tolerances, broadcasting, types") {
  const Tensor<double> b = tensor<double>({100, -1});
  CHECK(allclose(tensor<double>({100.0009, -1.00000999}), b));
  CHECK(!allclose(tensor<double>({100.0011, -1}), b));
  CHECK(!allclose(tensor<double>({100, -1.00002}), b));
  CHECK(allclose(tensor<double>({100.4, -1.1}), b, {.rtol = 0, .atol = 0.5}));
  CHECK(allclose(tensor<double>({101, -1}), b, {.rtol = 0.01, .atol = 0}));
  CHECK(!allclose(tensor<double>({101.1, -1}), b, {.rtol = 0.01, .atol = 0}));
  CHECK(allclose(ones<float>({3, 1}), ones<float>({4})));
  CHECK(allclose(zeros<float>({0}), zeros<float>({0})));
  CHECK(allclose(tensor<std::int64_t>({5, 6}), tensor<std::int64_t>({5, 6})));
  CHECK(!allclose(tensor<std::int64_t>({5, 6}), tensor<std::int64_t>({5, 7})));
  CHECK(allclose(tensor<bool>({true}), tensor<bool>({true})));
  CHECK(allclose(ones<bfloat16>({2}), ones<bfloat16>({2})));
  const Tensor<float> leaf = ones<float>({2});
  leaf.requires_grad_();
  CHECK(allclose(leaf, ones<float>({2})));
}

TEST_CASE("allclose: infinities and NaN; messages") {
  const Tensor<float> inf = tensor<float>({INFINITY}), one = tensor<float>({1}),
                      nan = tensor<float>({NAN});
  CHECK(allclose(inf, inf));
  CHECK(!allclose(inf, -inf));
  CHECK(!allclose(one, inf));
  CHECK(!allclose(inf, one));
  CHECK(!allclose(nan, nan));
  CHECK(allclose(nan, nan, {.equal_nan = true}));
  CHECK(!allclose(nan, one, {.equal_nan = true}));
  CHECK(!allclose(inf, nan, {.equal_nan = true}));
  CHECK(check::message([&] { (void)allclose(one, one, {.rtol = -1}); }) ==
        "[allclose] tolerances must not be negative: rtol is -1, atol 1e-08");
  CHECK(check::message([] { (void)allclose(zeros<float>({2}), zeros<float>({3})); }) ==
        "[allclose] shapes do not broadcast: (2,) and (3,)");
}
