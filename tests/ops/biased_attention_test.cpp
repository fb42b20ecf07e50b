#include "tandem/ops/biased_attention.hpp"

#include "golden.hpp"
#include "tandem/ops/rotary.hpp"

using namespace tandem;

TEST_CASE("biased_attention agrees with PyTorch") {
  golden::compare("biased_attention.bias", {"q", "k", "v", "bias"},
                  [](const auto& x) { return biased_attention(x[0], x[1], x[2], x[3]); });
  golden::compare("biased_attention.causal", {"q", "k", "v"}, [](const auto& x) {
    return biased_attention(x[0], x[1], x[2], {}, {.causal = true, .scale = 0.3});
  });
}

TEST_CASE("biased_attention without a bias is scaled_dot_product_attention; gradients") {
  const Tensor<double> q = check::normal({2, 2, 3, 4}, 1), k = check::normal({2, 2, 5, 4}, 2),
                       v = check::normal({2, 2, 5, 4}, 3), bias = check::normal({2, 1, 3, 1}, 4);
  const Tensor<bool> mask =
      from_vector<bool>(std::vector<int>{1, 1, 0, 1, 1, 0, 0, 0, 0, 0}, {2, 5});
  // Nothing is seen in the second sample: zeros.
  const Tensor<double> y = biased_attention(q, k, v, {}, {.key_mask = mask, .causal = true});
  CHECK(check::distance(
            y, scaled_dot_product_attention(q, k, v, {.key_mask = mask, .causal = true})) < 1e-14);
  CHECK(check::same(y[1], zeros<double>({2, 3, 4})));
  check::gradients(
      [&](const auto& x) {
        return biased_attention(x[0], x[1], x[2], x[3], {.key_mask = mask, .causal = true});
      },
      {q, k, v, bias});
  // Two dimensions, and a bias of −∞.
  const Tensor<double> never = tensor<double>({0, 0, -INFINITY, 0, 0});
  CHECK(check::distance(biased_attention(q[0][0], k[0][0], v[0][0], never),
                        scaled_dot_product_attention(q[0][0], k[0][0], v[0][0],
                                                     {.key_mask = mask.slice(0, 0, 1)})) < 1e-14);
}

TEST_CASE("biased_attention: dropped probabilities are those that dropout drops") {
  const Tensor<double> q = check::normal({1, 2, 6, 4}, 1), k = check::normal({1, 2, 7, 4}, 2),
                       v = check::normal({1, 2, 7, 4}, 3);
  Generator one(9), two(9);
  const Tensor<double> y = biased_attention(q, k, v, {}, {.dropout = 0.4, .random = &one});
  const Tensor<double> p = dropout(softmax(mul(matmul(q, k.transpose(-1, -2)), 0.5)), 0.4, two);
  CHECK(check::distance(y, matmul(p, v)) < 1e-13);
  std::int64_t zero = 0;
  for (const double e : p.to_vector()) zero += e == 0 ? 1 : 0;
  CHECK(zero > 15);  // of 84, 34 on average, with a deviation of 4.5
  CHECK(zero < 53);
}

TEST_CASE("biased_attention says what is wrong") {
  const Tensor<float> x = zeros<float>({2, 3, 4}), k = zeros<float>({2, 5, 4});
  CHECK(check::message([&] { biased_attention(x, k, x); }) ==
        "[biased_attention] expected q (…, T_q, d), k and v (…, T_k, d), got (2, 3, 4), (2, 5, 4) "
        "and (2, 3, 4)");
  CHECK(check::message([&] {
          biased_attention(x, k, k, zeros<float>({3, 1, 5}));
        }) ==
        "[biased_attention] a bias of shape (3, 1, 5) does not broadcast to the scores, (2, 3, 5)");
  CHECK(check::message([&] {
          biased_attention(x, k, k, {}, {.key_mask = full<bool>({2, 3}, true)});
        }) == "[biased_attention] the key mask has shape (2, 3), expected (2, 5)");
  CHECK(check::message([&] { biased_attention(x, k, k, {}, {.dropout = 0.5}); }) ==
        "[biased_attention] dropout needs a generator, options.random");
  CHECK(check::message([&] { biased_attention(x, k, k, {}, {.dropout = 1}); }) ==
        "[biased_attention] the probability must lie in [0, 1), it is 1");
}

TEST_CASE("rotary agrees with products of complex numbers; gradients") {
  golden::compare("rotary.halves", {"x"}, [](const auto& v) { return rotary(v[0]); });
  const RotaryOptions options{.base = 100, .first = 7, .interleaved = true};
  golden::compare("rotary.neighbours", {"x"}, [&](const auto& v) { return rotary(v[0], options); });
  check::gradients([](const auto& v) { return rotary(v[0]); }, {check::normal({2, 3, 4}, 1)});
  check::gradients([&](const auto& v) { return rotary(v[0], options); },
                   {check::normal({3, 6}, 2)});
}

TEST_CASE("rotary: products depend on the distance; no rows; what is wrong") {
  const Tensor<double> q = check::normal({1, 6}, 1), k = check::normal({1, 6}, 2);
  const auto product = [&](std::int64_t i, std::int64_t j) {
    return matmul(rotary(q, {.first = i}), rotary(k, {.first = j}).transpose(0, 1)).item();
  };
  CHECK(std::fabs(product(3, 1) - product(12, 10)) < 1e-13);
  CHECK(std::fabs(product(3, 1) - product(3, 2)) > 1e-3);
  CHECK(rotary(zeros<float>({2, 0, 4})).shape() == Shape{2, 0, 4});
  CHECK(check::message([] {
          rotary(zeros<float>({2, 3}));
        }) == "[rotary] expected x of shape (…, T, d), d even, got (2, 3)");
  CHECK(check::message([] {
          rotary(zeros<float>({2, 4}), {.base = 0});
        }) == "[rotary] the base must be positive, it is 0");
}
