/// The losses and measures of distance that are composed of other ops.

#include "tandem/ops/l1_loss.hpp"

#include "golden.hpp"
#include "tandem/ops/cosine_similarity.hpp"
#include "tandem/ops/huber_loss.hpp"
#include "tandem/ops/kl_div.hpp"

using namespace tandem;

namespace {
struct LossReduction {
  const char* name;
  Reduction reduction;
};
constexpr LossReduction loss_reductions[] = {
    {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}};
}  // namespace

TEST_CASE("l1_loss, huber_loss, smooth_l1_loss and kl_div agree with PyTorch") {
  const std::vector<std::string> both{"x", "target"};
  for (const auto& [name, reduction] : loss_reductions) {
    const Reduction r = reduction;
    golden::compare(concat("l1_loss.", name), both,
                    [&](const auto& v) { return l1_loss(v[0], v[1], r); });
    golden::compare(concat("huber_loss.", name), both,
                    [&](const auto& v) { return huber_loss(v[0], v[1], 0.7, r); });
    golden::compare(concat("smooth_l1_loss.", name), both,
                    [&](const auto& v) { return smooth_l1_loss(v[0], v[1], 0.3, r); });
    golden::compare(concat("kl_div.", name), both,
                    [&](const auto& v) { return kl_div(v[0], v[1], {.reduction = r}); });
    golden::compare(concat("kl_div.log_", name), both, [&](const auto& v) {
      return kl_div(v[0], v[1], {.reduction = r, .log_target = true});
    });
  }
}

TEST_CASE("cosine_similarity agrees with PyTorch; below its epsilon") {
  golden::compare("cosine_similarity.rows", {"x", "z"},
                  [](const auto& v) { return cosine_similarity(v[0], v[1]); });
  golden::compare("cosine_similarity.broadcast", {"x", "z"},
                  [](const auto& v) { return cosine_similarity(v[0], v[1], -1, 1e-3); });
  const Tensor<double> x = tensor<double>({{3, 4}}), z = tensor<double>({{0, 2}});
  CHECK(std::fabs(cosine_similarity(x, z, 1, 10).item() - 0.08) < 1e-16);
  gradcheck([](const auto& v) { return cosine_similarity(v[0], v[1], 1, 4.5); }, {x, z});
}

TEST_CASE("composed losses: gradients in every layout") {
  const Tensor<double> x = check::normal({3, 4}, 1), t = check::normal({3, 4}, 2);
  Generator random(3);
  const Tensor<double> p = rand<double>({3, 4}, random, 0.2, 1);
  check::gradients([](const auto& v) { return l1_loss(v[0], v[1], Reduction::none); }, {x, t});
  check::gradients([](const auto& v) { return huber_loss(v[0], v[1], 0.8, Reduction::none); },
                   {x, t});
  check::gradients([](const auto& v) { return smooth_l1_loss(v[0], v[1], 0.8); }, {x, t});
  check::gradients([](const auto& v) { return kl_div(v[0], v[1]); }, {x, p});
  check::gradients([](const auto& v) { return cosine_similarity(v[0], v[1], 0); }, {x, t});
}

TEST_CASE("composed losses: the corner of huber_loss, probabilities of 0, nothing, infinity") {
  const Tensor<float> zero = zeros<float>({4}), x = tensor<float>({-1, 1, 0, INFINITY});
  x.requires_grad_();
  const Tensor<float> huber = huber_loss(x, zero, 1, Reduction::none);
  CHECK(huber.to_vector() == std::vector<float>{0.5F, 0.5F, 0, INFINITY});
  huber.slice(0, 0, 3).backward(ones<float>({3}));
  CHECK(x.grad().to_vector() == std::vector<float>{-1, 1, 0, 0});
  CHECK(check::same(smooth_l1_loss(x, zero, 0, Reduction::none), abs(x)));
  // 0·log 0 is 0, and the gradient of x there −t = 0.
  const Tensor<float> logs = tensor<float>({-1, -2}), p = tensor<float>({0, 1});
  for (const Tensor<float>& leaf : {logs, p}) leaf.requires_grad_();
  const Tensor<float> kl = kl_div(logs, p, {.reduction = Reduction::sum});
  CHECK(kl.item() == 2);
  kl.backward();
  CHECK(logs.grad().to_vector() == std::vector<float>{0, -1});
  CHECK(p.grad().to_vector() == std::vector<float>{1, 3});
  const Tensor<float> none = zeros<float>({0, 3});
  CHECK(l1_loss(none, none).item() == 0);
  CHECK(huber_loss(none, none).item() == 0);
  CHECK(kl_div(none, none).item() == 0);
  CHECK(cosine_similarity(none, none).shape() == Shape{0});
}

TEST_CASE("composed losses say what is wrong") {
  const Tensor<float> a = zeros<float>({2, 1}), b = zeros<float>({2});
  CHECK(check::message([&] { l1_loss(a, b); }) ==
        "[l1_loss] shapes must be equal: prediction (2, 1), target (2,)");
  CHECK(check::message([&] { huber_loss(a, b); }) ==
        "[huber_loss] shapes must be equal: prediction (2, 1), target (2,)");
  CHECK(check::message([&] { huber_loss(b, b, 0); }) ==
        "[huber_loss] delta must be positive, it is 0");
  CHECK(check::message([&] { smooth_l1_loss(b, b, -1); }) ==
        "[smooth_l1_loss] beta must not be negative, it is -1");
  CHECK(check::message([&] { kl_div(a, b); }) ==
        "[kl_div] shapes must be equal: log-probabilities (2, 1), target (2,)");
  CHECK(check::message([&] { cosine_similarity(a, b); }) ==
        "[cosine_similarity] expected tensors of as many dimensions, got (2, 1) and (2,)");
  CHECK(check::message([&] {
          cosine_similarity(a, zeros<float>({2, 3}));
        }) == "[cosine_similarity] dimension 1 differs: (2, 1) and (2, 3)");
}
