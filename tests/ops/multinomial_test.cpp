#include "tandem/ops/multinomial.hpp"

#include <cmath>
#include <set>

#include "check.hpp"
#include "tandem/ops/abs.hpp"

using namespace tandem;

namespace {
/// A count of `n` independent events of this probability: within five deviations, which one in 1.7
/// million exceeds.
void check_count(std::int64_t count, std::int64_t n, double probability) {
  const double expected = static_cast<double>(n) * probability;
  CHECK(std::fabs(static_cast<double>(count) - expected) <=
        5 * std::sqrt(expected * (1 - probability)));
}
}  // namespace

TEST_CASE("multinomial with replacement: frequencies are the weights") {
  Generator random(1);
  constexpr std::int64_t n = 20000;
  const Tensor<std::int64_t> y = multinomial(tensor<double>({1, 0, 3, 6, 0}), n, random, true);
  REQUIRE(y.shape() == Shape{n});
  std::int64_t counts[5] = {};
  for (const std::int64_t i : y.to_vector()) ++counts[i];
  CHECK(counts[1] == 0);
  CHECK(counts[4] == 0);
  check_count(counts[0], n, 0.1);
  check_count(counts[2], n, 0.3);
  check_count(counts[3], n, 0.6);
}

TEST_CASE("multinomial without replacement: each once, the next as by the weights that are left") {
  Generator random(2);
  constexpr std::int64_t n = 20000;
  const double weights[3] = {1, 2, 3};
  const Tensor<std::int64_t> y = multinomial(tensor<float>({1, 2, 3}).expand({n, 3}), 2, random);
  REQUIRE(y.shape() == Shape{n, 2});
  std::int64_t counts[3][3] = {};
  for (std::int64_t r = 0; r < n; ++r) ++counts[y.at({r, 0})][y.at({r, 1})];
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      if (i == j) {
        CHECK(counts[i][j] == 0);
      } else {
        check_count(counts[i][j], n, weights[i] / 6 * weights[j] / (6 - weights[i]));
      }
    }
  }
  const Tensor<std::int64_t> order = multinomial(ones<float>({50}), 50, random);
  const std::vector<std::int64_t> all = order.to_vector();
  CHECK(std::set<std::int64_t>(all.begin(), all.end()).size() == 50);
}

TEST_CASE("multinomial: the same seed gives the same draws, rows one after another, any layout") {
  const Tensor<double> w = tandem::abs(check::normal({4, 9}, 1));
  for (const bool replacement : {false, true}) {
    Generator a(3), b(3), c(3);
    const Tensor<std::int64_t> y = multinomial(w, 5, a, replacement);
    for (std::int64_t r = 0; r < 4; ++r) {
      CHECK(check::same(multinomial(w[r], 5, b, replacement), y[r]));
    }
    CHECK(check::same(multinomial(autograd::make_strided(w), 5, c, replacement), y));
    CHECK(!check::same(multinomial(w, 5, a, replacement), y));
  }
  Generator random(4);
  CHECK(multinomial(w, 0, random).shape() == Shape{4, 0});
  CHECK(multinomial(zeros<float>({0, 3}), 2, random).shape() == Shape{0, 2});
  CHECK(multinomial(tensor<float>({0, 1e-30F, 0}), 1, random).item() == 1);
  CHECK(multinomial(tensor<double>({1e-300, 1e300}), 1, random, true).item() == 1);
}

TEST_CASE("multinomial: messages") {
  Generator random(5);
  const auto says = [&](const Tensor<float>& w, std::int64_t count, bool replacement = false) {
    return check::message([&] { multinomial(w, count, random, replacement); });
  };
  CHECK(says(zeros<float>({1, 2, 3}), 1) ==
        "[multinomial] weights must have one or two dimensions, their shape is (1, 2, 3)");
  CHECK(says(tensor<float>({1, -0.5F}), 1) ==
        "[multinomial] weight 1 of row 0 is -0.5: weights must be finite and not negative");
  CHECK(says(tensor<float>({1, NAN}), 1).rfind("[multinomial] weight 1 of row 0 is ", 0) == 0);
  CHECK(says(tensor<float>({{1, 1}, {INFINITY, 1}}), 1) ==
        "[multinomial] weight 0 of row 1 is inf: weights must be finite and not negative");
  CHECK(says(zeros<float>({2}), 1, true) == "[multinomial] row 0 has no weight above 0");
  CHECK(says(tensor<float>({1, 0, 1}), 3) ==
        "[multinomial] 3 draws without replacement from 2 weights above 0 in row 0");
  CHECK(says(ones<float>({2}), -1) == "[multinomial] there cannot be -1 draws");
  CHECK(check::message([&] {
          multinomial(tensor<double>({1e308, 1e308}), 1, random);
        }) == "[multinomial] the weights of row 0 have an infinite sum");
  const Tensor<float> leaf = ones<float>({2});
  leaf.requires_grad_();
  CHECK(says(leaf, 1) ==
        "[multinomial] has no backward, but an input needs a gradient: detach() it or use NoGrad");
}
