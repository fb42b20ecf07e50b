#include "tandem/ops/norm.hpp"

#include <cmath>

#include "golden.hpp"

using namespace tandem;

TEST_CASE("norm agrees with PyTorch, gradients included, at zeros too") {
  golden::compare("norm.p1", {"x"}, [](const auto& x) { return norm(x[0], 1, {0, 2}); });
  golden::compare("norm.p2", {"x"}, [](const auto& x) { return norm(x[0], 2, {0, 2}); });
  golden::compare("norm.pinf", {"x"}, [](const auto& x) { return norm(x[0], INFINITY, {0, 2}); });
  golden::compare("norm.of_zeros", {"x"}, [](const auto& x) { return norm(x[0], 2, -1); });
}

TEST_CASE("norm: gradients over every choice of dimensions, any layout") {
  for (const double p : {1.0, 2.0, double{INFINITY}}) {
    CAPTURE(p);
    for (const Shape& shape : {Shape{1}, Shape{33}, Shape{3, 7}, Shape{2, 3, 5}}) {
      // Away from 0 and far apart, so that a step changes neither a sign nor which is largest.
      const Tensor<double> x(shape);
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        x.mutable_data()[i] =
            (i % 2 == 0 ? 1 : -1) * (0.5 + static_cast<double>(i * 89 % 311) / 50);
      }
      for (int d = 0; d < shape.rank(); ++d) {
        check::gradients([=](const auto& v) { return norm(v[0], p, d); }, {x});
        check::gradients([=](const auto& v) { return norm(v[0], p, d, true); }, {x});
      }
      check::gradients([=](const auto& v) { return norm(v[0], p); }, {x});
    }
  }
}

TEST_CASE("norm: magnitudes, NaN, the first of equals, shapes") {
  CHECK(norm(tensor<float>({3e30F, -4e30F})).item() == doctest::Approx(5e30F).epsilon(1e-6));
  CHECK(norm(tensor<float>({3e-30F, -4e-30F})).item() == doctest::Approx(5e-30F).epsilon(1e-6));
  CHECK(norm(tensor<double>({3e200, 4e200})).item() == doctest::Approx(5e200).epsilon(1e-15));
  CHECK(norm(tensor<float>({1, INFINITY})).item() == INFINITY);
  for (const double p : {1.0, 2.0, double{INFINITY}}) {
    CHECK(std::isnan(norm(tensor<double>({1, NAN, INFINITY}), p).item()));
  }
  const Tensor<double> x = tensor<double>({1, -3, 3});
  x.requires_grad_();
  norm(x, INFINITY).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{0, -1, 0});
  CHECK(norm(zeros<float>({0, 3}), 2, 0).to_vector() == std::vector<float>{0, 0, 0});
  CHECK(norm(zeros<float>({3, 0}), 1, {}).item() == 0);
  CHECK(norm(tensor<float>(-2.0F)).item() == 2);
  CHECK(norm(ones<float>({2, 3, 4}), 2, {0, 2}, true).shape() == Shape{1, 3, 1});
  const Tensor<double> none = zeros<double>({0, 3});
  none.requires_grad_();
  sum(norm(none, 2, 0)).backward();
  CHECK(none.grad().shape() == Shape{0, 3});
  const Tensor<bfloat16> half = check::cast<bfloat16>(check::normal({5, 33}, 1));
  CHECK(check::same(norm(half, 2, 1), norm(half.to<float>(), 2, 1).to<bfloat16>()));
}

TEST_CASE("norm: messages") {
  const Tensor<float> x = zeros<float>({2, 0});
  CHECK(check::message([&] { norm(x, 3); }) == "[norm] p must be 1, 2 or infinity, it is 3");
  CHECK(check::message([&] { norm(x, NAN); }).rfind("[norm] p must be 1, 2 or infinity", 0) == 0);
  CHECK(check::message([&] { norm(x, INFINITY, 1); }) ==
        "[norm] there is nothing to choose from in shape (2, 0)");
  CHECK(check::message([&] { norm(x, 2, 2); }) ==
        "[norm] dimension 2 is out of range for a tensor of 2 dimensions");
}
