#include "tandem/ops/normalize.hpp"

#include <limits>

#include "golden.hpp"

using namespace tandem;

TEST_CASE("normalize agrees with PyTorch") {
  golden::compare("l2_normalize.last", {"x"}, [](const auto& x) { return normalize(x[0]); });
  golden::compare("l2_normalize.dim0", {"x"}, [](const auto& x) { return normalize(x[0], 0); });
}

TEST_CASE("normalize: gradients on every dimension and odd lengths") {
  for (const std::int64_t n : {1, 3, 7, 31, 33}) {
    check::gradients(
        [](const auto& x) {
          // For n = 1 the result is the sign, whose gradient is zero; ε large enough undoes that.
          return normalize(x[0], 1, 10.0);
        },
        {check::normal({2, n, 3}, static_cast<std::uint64_t>(n))});
    if (n == 1) continue;
    for (const int dim : {0, 1, 2}) {
      check::gradients([&](const auto& x) { return normalize(x[0], dim); },
                       {check::normal({2, n, 3}, static_cast<std::uint64_t>(n))});
    }
  }
  CHECK(normalize(zeros<float>({0, 3})).shape() == Shape{0, 3});
  CHECK(normalize(zeros<float>({3, 0})).shape() == Shape{3, 0});
}

TEST_CASE("normalize: rows below ε, zero, and at both ends of the range") {
  const Tensor<float> zero = zeros<float>({1, 3});
  zero.requires_grad_();
  const Tensor<float> y = normalize(zero);
  CHECK(y.to_vector() == std::vector<float>{0, 0, 0});
  y.backward(full<float>({1, 3}, 1e-12F));
  for (const float g : zero.grad().to_vector()) CHECK(g == doctest::Approx(1.0));

  const float tiny = std::numeric_limits<float>::denorm_min(), huge = 3e38F;
  // 3-4-5 triangles: the quotients 0.6 and 0.8 are known. Subnormal inputs are exact multiples of
  // 2⁻¹⁴⁹; eps must be below them to let the norm win.
  const Tensor<float> x =
      tensor<float>({{3 * tiny * 4096, 4 * tiny * 4096}, {huge * 0.3F, huge * 0.4F}});
  const std::vector<float> unit = normalize(x, -1, 1e-43).to_vector();
  for (const std::size_t i : {0U, 2U}) {
    CHECK(unit[i] == doctest::Approx(0.6).epsilon(1e-6));
    CHECK(unit[i + 1] == doctest::Approx(0.8).epsilon(1e-6));
  }
}

TEST_CASE("normalize: a NaN makes its row NaN, wherever it stands and whatever follows") {
  const float inf = INFINITY;
  for (const std::vector<float>& row :
       {std::vector<float>{1, NAN, 0}, {NAN, 1, 2}, {inf, NAN, 0}, {NAN, inf, 0}, {0, 0, NAN}}) {
    const Tensor<float> x = from_vector<float>(row);
    for (const float y : normalize(x).to_vector()) CHECK(std::isnan(y));
  }
}

TEST_CASE("normalize: float follows double, any thread count, messages") {
  const Tensor<double> x = check::normal({77, 512}, 4);
  // ‖x‖² is a sum of 512 squares in 8 lanes: relative error ≤ (64 + 3)·2⁻²⁴, halved by the root;
  // |y| ≤ 1.
  CHECK(check::distance(normalize(check::cast<float>(x)), normalize(x)) < 35 * 0x1p-24);
  check::any_thread_count([&] {
    Tensor<double> leaf = x.clone();
    leaf.requires_grad_();
    const Tensor<double> y = normalize(leaf);
    y.backward(x);
    return std::vector{y, leaf.grad()};
  });
  CHECK(check::message([] { normalize(zeros<float>({2}), 0, 0); }) ==
        "[normalize] eps must be positive, it is 0");
}
