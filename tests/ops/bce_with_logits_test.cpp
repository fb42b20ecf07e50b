#include "tandem/ops/bce_with_logits.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {
Tensor<double> uniform(const Shape& shape, std::uint64_t seed) {
  Generator random(seed);
  return rand<double>(shape, random);
}
}  // namespace

TEST_CASE("bce_with_logits agrees with PyTorch") {
  const Tensor<double> target = golden::get("bce_with_logits.mean.target");
  golden::compare("bce_with_logits.mean", {"input"},
                  [&](const auto& x) { return bce_with_logits(x[0], target); });
  const std::string key = "bce_with_logits.weight_none";
  const Tensor<double> t = golden::get(key + ".target"), w = golden::get(key + ".weight");
  golden::compare(key, {"input"}, [&](const auto& x) {
    return bce_with_logits(x[0], t, {.reduction = Reduction::none, .weight = w});
  });
}

TEST_CASE("bce_with_logits: gradients with every reduction, weights and a mask") {
  const Shape shape{3, 7};
  const Tensor<double> target = uniform(shape, 1), weight = uniform(shape, 2);
  Tensor<bool> mask(shape);
  for (std::int64_t i = 0; i < mask.numel(); ++i) mask.mutable_data()[i] = i % 3 != 0;
  for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
    const auto with = [&](const BceOptions<double>& options) {
      check::gradients([&](const auto& x) { return bce_with_logits(x[0], target, options); },
                       {check::normal(shape, 3)});
    };
    with({.reduction = reduction});
    with({.reduction = reduction, .weight = weight});
    with({.reduction = reduction, .weight = weight, .mask = mask});
  }
}

TEST_CASE("bce_with_logits: the mask takes elements out, whatever they hold") {
  const Tensor<float> x = tensor<float>({1, NAN, -2}), t = tensor<float>({1, 0, NAN});
  x.requires_grad_();
  const Tensor<float> loss = bce_with_logits(x, t, {.mask = tensor<bool>({true, false, false})});
  CHECK(loss.item() == doctest::Approx(std::log1p(std::exp(-1.0))));
  loss.backward();
  const std::vector<float> dx = x.grad().to_vector();
  CHECK(dx[0] == doctest::Approx(1 / (1 + std::exp(-1.0)) - 1));
  CHECK(dx[1] == 0);
  CHECK(dx[2] == 0);
  // Nothing takes part: loss and gradient are 0.
  x.zero_grad();
  const Tensor<float> nothing = bce_with_logits(x, t, {.mask = zeros<bool>({3})});
  CHECK(nothing.item() == 0);
  nothing.backward();
  CHECK(x.grad().to_vector() == std::vector<float>{0, 0, 0});
}

TEST_CASE("bce_with_logits stays finite and exact in the tails") {
  const Tensor<float> x = tensor<float>({1000, -1000, 1000, -1000}),
                      t = tensor<float>({1, 0, 0, 1});
  x.requires_grad_();
  const Tensor<float> loss = bce_with_logits(x, t, {.reduction = Reduction::none});
  CHECK(loss.to_vector() == std::vector<float>{0, 0, 1000, 1000});
  loss.backward(ones<float>({4}));
  CHECK(x.grad().to_vector() == std::vector<float>{0, 0, 1, -1});
}

TEST_CASE("bce_with_logits: thread counts and messages") {
  const Tensor<double> x = check::normal({30011}, 4), t = uniform({30011}, 5);
  check::any_thread_count([&] {
    Tensor<double> leaf = x.clone();
    leaf.requires_grad_();
    const Tensor<double> loss = bce_with_logits(leaf, t);
    loss.backward();
    return std::vector{loss, leaf.grad()};
  });
  const Tensor<float> a = zeros<float>({2, 3}), b = zeros<float>({3});
  CHECK(check::message([&] { bce_with_logits(a, b); }) ==
        "[bce_with_logits] shapes must be equal: logits (2, 3), target (3,)");
  CHECK(check::message([&] { bce_with_logits(a, a, {.mask = zeros<bool>({3})}); }) ==
        "[bce_with_logits] shapes must be equal: logits (2, 3), mask (3,)");
  b.requires_grad_();
  CHECK(check::message([&] { bce_with_logits(zeros<float>({3}), b); }) ==
        "[bce_with_logits] has no backward, but an input needs a gradient: detach() it or use "
        "NoGrad");
}
