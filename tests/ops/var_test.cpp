#include "tandem/ops/var.hpp"

#include <cmath>

#include "golden.hpp"

using namespace tandem;

TEST_CASE("var, stddev agree with PyTorch") {
  golden::compare("var.dim1", {"x"}, [](const auto& x) { return var(x[0], 1); });
  golden::compare("var.biased", {"x"}, [](const auto& x) {
    return var(x[0], {0, 2}, {.keepdim = true, .unbiased = false});
  });
  golden::compare("stddev.all", {"x"}, [](const auto& x) { return stddev(x[0]); });
  golden::compare("stddev.of_constants", {"x"}, [](const auto& x) { return stddev(x[0], -1); });
}

TEST_CASE("var, stddev: gradients over every choice of dimensions, any layout") {
  for (const Shape& shape : {Shape{2}, Shape{33}, Shape{3, 7}, Shape{2, 3, 5}}) {
    const Tensor<double> x = check::normal(shape, 1);
    for (int d = 0; d < shape.rank(); ++d) {
      check::gradients([d](const auto& v) { return var(v[0], d); }, {x});
      check::gradients([d](const auto& v) { return stddev(v[0], d, {.unbiased = false}); }, {x});
    }
    check::gradients([](const auto& v) { return var(v[0], {}, {.keepdim = true}); }, {x});
    check::gradients([](const auto& v) { return stddev(v[0]); }, {x});
  }
  const Tensor<double> x = check::normal({2, 3, 5}, 2);
  check::gradients([](const auto& v) { return stddev(v[0], {0, -1}, {.keepdim = true}); }, {x});
}

TEST_CASE("var, stddev: of equal numbers exactly 0; overflow as in PyTorch") {
  for (const float value : {0.1F, 123.456F, 1e8F, -3.3e-20F}) {
    CAPTURE(value);
    CHECK(stddev(full<float>({100003}, value)).item() == 0);
    CHECK(check::same(var(full<float>({1000, 7}, value), 0), zeros<float>({7})));
    CHECK(check::same(stddev(full<float>({7, 1000}, value), 1), zeros<float>({7})));
  }
  // (3e19)² is no float; a mean that overflows; an infinity has no deviation.
  CHECK(var(tensor<float>({3e19F, -3e19F})).item() == INFINITY);
  CHECK(stddev(tensor<float>({3.3e38F, 3.3e38F})).item() == INFINITY);
  CHECK(std::isnan(var(tensor<float>({1, INFINITY})).item()));
}

TEST_CASE("var: far from 0, one term, shapes, bfloat16, threads") {
  // Numbers that float holds around 2¹⁸, ⅛ apart: their squares would lose them.
  const Tensor<float> far(Shape{1000});
  for (std::int64_t i = 0; i < 1000; ++i) {
    far.mutable_data()[i] = 262144.0F + static_cast<float>(i % 3) * 0.125F;
  }
  const double mean = (333.0 * 0.125 + 333.0 * 0.25) / 1000;
  const double exact = (334 * mean * mean + 333 * (0.125 - mean) * (0.125 - mean) +
                        333 * (0.25 - mean) * (0.25 - mean)) /
                       999;
  // The mean rounds to 2⁻⁶ (float has 2⁻⁵ there), the second mean takes that back.
  CHECK(std::fabs(static_cast<double>(var(far).item()) - exact) <= exact * 1e-6);
  CHECK(var(tensor<float>({5}), 0, {.unbiased = false}).item() == 0);
  CHECK(var(zeros<float>({2, 0, 3}), 0).shape() == Shape{0, 3});
  CHECK(var(ones<float>({2, 3}), 1, {.keepdim = true}).shape() == Shape{2, 1});
  const Tensor<float> x = check::cast<float>(check::normal({7, 65}, 3));
  const Tensor<bfloat16> half = x.to<bfloat16>();
  CHECK(check::same(var(half, 1), var(half.to<float>(), 1).to<bfloat16>()));
  check::any_thread_count([&] { return std::vector<Tensor<float>>{var(x), stddev(x, 0)}; });
  CHECK(check::message([] {
          var(ones<float>({3, 1}), 1);
        }) == "[var] needs at least two terms (or unbiased = false), there are 1 in shape (3, 1)");
  CHECK(check::message([] { stddev(ones<float>({0}), 0, {.unbiased = false}); }) ==
        "[stddev] needs at least one term, there are 0 in shape (0,)");
  CHECK(check::message([] {
          var(ones<float>({3, 2}), {1, -1});
        }) == "[var] dimension 1 appears twice in (1, -1)");
}
