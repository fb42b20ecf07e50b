/// MultiHeadAttention of one sequence to another, its bias and dropout; positions.

#include "tandem/nn/attention.hpp"

#include "../ops/golden.hpp"
#include "tandem/nn/positions.hpp"

using namespace tandem;

TEST_CASE("MultiHeadAttention::attend: torch.nn.MultiheadAttention with a mask and a bias") {
  Generator random(1);
  nn::MultiHeadAttention<double> module(8, 2, random);
  std::vector<nn::Named<double>> state;
  for (const auto& named : module.state_dict())
    state.push_back({named.name, golden::get("cross.state." + named.name)});
  module.load_state_dict(state);
  const Tensor<bool> mask = golden::mask("cross.key_mask");
  golden::compare("cross", {"q", "k", "v", "bias"}, [&](const auto& v) {
    return module.attend(v[0], v[1], v[2], {.key_mask = mask, .bias = v[3]});
  });
  for (const auto& p : module.named_parameters()) {
    INFO(p.name);
    CHECK(check::distance(p.tensor.grad(), golden::get("cross.grad." + p.name)) < 1e-12);
  }
}

TEST_CASE("attend to oneself is forward; in bfloat16; what is wrong") {
  Generator random(2);
  nn::MultiHeadAttention<float> module(12, 3, random);
  const Tensor<float> x = randn<float>({2, 5, 12}, random);
  // Sums of 12 products twice and of 5 weights: a few dozen roundings of numbers below 4.
  CHECK(check::distance(module.attend(x, x, x, {.causal = true}), module.forward(x, {}, true)) <
        64 * 4 * 0x1p-24);
  nn::keep_bfloat16(module);
  CHECK(check::distance(module.attend(x, x, x), module.forward(x)) < 64 * 4 * 0x1p-24);
  CHECK(check::message([&] { module.attend(x, x, x.slice(1, 0, 4)); }) ==
        "[attention] expected query (B, T_q, 12), key and value (B, T_k, 12), got (2, 5, 12), (2, "
        "5, 12) and (2, 4, 12)");
  CHECK(check::message([&] { nn::MultiHeadAttention<float>(4, 2, random, 1.0); }) ==
        "[attention] the probability of dropout must lie in [0, 1), it is 1");
}

TEST_CASE("MultiHeadAttention: dropout in training, from the RandomScope's generator") {
  Generator random(3), draws(4), again(4);
  nn::MultiHeadAttention<double> module(8, 2, random, 0.5);
  const Tensor<double> x = check::normal({2, 6, 8}, 5);
  const Tensor<bool> wanted =
      from_vector<bool>(std::vector<int>{1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0}, {2, 6});
  CHECK(check::message([&] { module.forward(x); }).find("needs an nn::RandomScope") !=
        std::string::npos);
  Tensor<double> y, z;
  {
    const nn::RandomScope scope(draws);
    y = module.mix(x, {}, true, wanted);
  }
  {
    const nn::RandomScope scope(again);
    // The same elements are dropped, whichever way the projections are made.
    CHECK(check::distance(module.attend(x, x, x, {.causal = true}).slice(1, 0, 3),
                          module.out_proj.forward(y).slice(1, 0, 3)) < 1e-13);
  }
  CHECK(check::same(y.select(1, 3)[0], zeros<double>({8})));
  module.eval();
  const Tensor<double> whole = module.mix(x, {}, true, wanted);
  CHECK(check::distance(y, whole) > 1e-2);
  CHECK(check::same(whole, module.mix(x, {}, true, wanted)));
}

TEST_CASE("sinusoidal_positions: the formula, odd widths, errors") {
  const Tensor<double> table = nn::sinusoidal_positions<double>(7, 5, 100);
  for (std::int64_t t = 0; t < 7; ++t) {
    for (std::int64_t d = 0; d < 5; ++d) {
      const double angle =
          static_cast<double>(t) / std::pow(100, static_cast<double>(d / 2) * 2 / 5);
      CHECK(std::fabs(table.at({t, d}) - (d % 2 == 0 ? std::sin(angle) : std::cos(angle))) < 1e-14);
    }
  }
  CHECK(nn::sinusoidal_positions<float>(0, 4).shape() == Shape{0, 4});
  CHECK(check::message([] { nn::sinusoidal_positions<float>(2, 4, 0); }) ==
        "[sinusoidal_positions] the base must be positive, it is 0");
}
