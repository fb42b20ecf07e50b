#include "tandem/ops/batch_norm.hpp"

#include "golden.hpp"
#include "tandem/ops/conv3d.hpp"
#include "tandem/ops/fold_batch_norm.hpp"

using namespace tandem;

namespace {

/// Running statistics that are made anew, so that gradcheck sees the same function each time.
auto batch_norm_with(bool training, const std::vector<double>& mean,
                     const std::vector<double>& variance) {
  return [=](const std::vector<Tensor<double>>& v) {
    const Shape shape{static_cast<std::int64_t>(mean.size())};
    return batch_norm(v[0], v.size() > 1 ? v[1] : Tensor<double>(),
                      v.size() > 2 ? v[2] : Tensor<double>(), from_vector<double>(mean, shape),
                      from_vector<double>(variance, shape),
                      {.training = training, .epsilon = 1e-3});
  };
}

}  // namespace

TEST_CASE("batch_norm agrees with PyTorch, running statistics too") {
  for (const char* name : {"volume_train", "volume_eval", "rows_train", "rows_eval"}) {
    const std::string key = concat("batch_norm.", name);
    const bool training = key.ends_with("train");
    const Tensor<double> mean = golden::get(key + ".mean").clone();
    const Tensor<double> variance = golden::get(key + ".var").clone();
    golden::compare(key, {"x", "weight", "bias"}, [&](const auto& v) {
      return batch_norm(v[0], v[1], v[2], mean, variance, {.training = training, .epsilon = 1e-3});
    });
    CHECK(check::distance(mean, golden::get(key + ".new_mean")) < 1e-14);
    CHECK(check::distance(variance, golden::get(key + ".new_var")) < 1e-14);
    CHECK(check::same(mean, golden::get(key + ".mean")) == !training);
  }
}

TEST_CASE("batch_norm: gradients in training and outside, odd shapes, every layout") {
  const std::vector<double> mean{0.3, -1, 2}, variance{0.5, 1.5, 2};
  for (const bool training : {true, false}) {
    for (const Shape& shape : {Shape{2, 3, 1, 2, 5}, Shape{3, 3}, Shape{1, 3, 33}}) {
      const Tensor<double> x = check::normal(shape, 1), gamma = check::normal({3}, 2),
                           beta = check::normal({3}, 3);
      check::gradients(batch_norm_with(training, mean, variance), {x, gamma, beta});
      check::gradients(batch_norm_with(training, mean, variance), {x});
      check::gradients(
          [&](const auto& v) {
            return batch_norm_with(training, mean, variance)({x, v[0], v[1]});
          },
          {gamma, beta});
    }
  }
  // Without running statistics: the batch's.
  check::gradients(
      [](const auto& v) { return batch_norm(v[0], {}, {}, {}, {}, {.training = true}); },
      {check::normal({2, 3, 5}, 4)});
}

TEST_CASE("batch_norm keeps its digits far from zero; float follows double") {
  // As in layer_norm_test: x = 1000 + u is known to 2⁻¹⁵ in float.
  const Tensor<double> u = check::normal({3, 2, 4099}, 4);
  Tensor<float> x(u.shape());
  Tensor<double> exact(u.shape());
  for (std::int64_t i = 0; i < u.numel(); ++i) {
    x.mutable_data()[i] = static_cast<float>(1000 + u.data()[i]);
    exact.mutable_data()[i] = static_cast<double>(x.data()[i]);
  }
  const auto norm = [](const auto& v) { return batch_norm(v, {}, {}, {}, {}, {.training = true}); };
  // μ is rounded to float once, by at most 2⁻¹⁵.
  CHECK(check::distance(norm(x), norm(exact)) < 4 * 0x1p-15);
}

TEST_CASE("batch_norm: same bits for any thread count; eval keeps what it saw") {
  const Tensor<float> x = check::cast<float>(check::normal({3, 5, 7, 31, 33}, 1));
  check::any_thread_count([&] {
    const Tensor<float> leaf = x.clone(), gamma = full<float>({5}, 1.5F), beta = zeros<float>({5});
    for (const Tensor<float>& t : {leaf, gamma, beta}) t.requires_grad_();
    const Tensor<float> mean = zeros<float>({5}), variance = ones<float>({5});
    const Tensor<float> y = batch_norm(leaf, gamma, beta, mean, variance, {.training = true});
    y.backward(x);
    return std::vector{y.detach(), leaf.grad(), gamma.grad(), beta.grad(), mean, variance};
  });
  const Tensor<float> leaf = ones<float>({1, 1, 2}), mean = zeros<float>({1}),
                      variance = ones<float>({1});
  leaf.requires_grad_();
  const Tensor<float> y = batch_norm(leaf, {}, {}, mean, variance);
  variance.fill_(100);
  y.backward(ones<float>({1, 1, 2}));
  CHECK(std::fabs(leaf.grad().at({0, 0, 0}) - 1) < 1e-5);
  CHECK(batch_norm(zeros<float>({0, 1, 2}), {}, {}, mean, variance, {.training = true}).shape() ==
        Shape{0, 1, 2});
  CHECK(mean.item() == 0);
}

TEST_CASE("batch_norm: a strided running statistic is updated where it is") {
  const Tensor<float> both = zeros<float>({2, 2}),
                      x = check::cast<float>(check::normal({4, 2, 3}, 1));
  batch_norm(x, {}, {}, both.select(1, 0), both.select(1, 1), {.training = true, .momentum = 1});
  const Tensor<float> mean = zeros<float>({2}), variance = zeros<float>({2});
  batch_norm(x, {}, {}, mean, variance, {.training = true, .momentum = 1});
  CHECK(check::same(both.select(1, 0).contiguous(), mean));
  CHECK(check::same(both.select(1, 1).contiguous(), variance));
  CHECK(mean.at({0}) != 0);
}

TEST_CASE("fold_batch_norm: one convolution in place of two ops") {
  const Tensor<double> x = check::normal({2, 3, 2, 4, 5}, 1), w = check::normal({4, 3, 1, 2, 2}, 2),
                       b = check::normal({4}, 3), gamma = check::normal({4}, 4),
                       beta = check::normal({4}, 5), mean = check::normal({4}, 6),
                       variance = tensor<double>({0.01, 0.5, 1, 9});
  for (const bool plain : {false, true}) {
    const Tensor<double> none, bias = plain ? none : b, scale = plain ? none : gamma,
                               shift = plain ? none : beta;
    const auto folded = fold_batch_norm(w, bias, scale, shift, mean, variance, 1e-3);
    const Tensor<double> expected =
        batch_norm(conv3d(x, w, bias), scale, shift, mean, variance, {.epsilon = 1e-3});
    // |y| < 100: 12 products of size 5 over √0.011, a few roundings each.
    CHECK(check::distance(conv3d(x, folded.weight, folded.bias), expected) < 100 * 32 * 0x1p-53);
  }
  CHECK(check::message(
            [&] { fold_batch_norm(w, zeros<double>({3}), {}, {}, mean, variance, 1e-3); }) ==
        "[fold_batch_norm] a weight of shape (4, 3, 1, 2, 2) needs bias, scale, shift, mean and "
        "variance "
        "of shape (4,), one has (3,)");
  CHECK(check::message([&] { fold_batch_norm(w, {}, {}, {}, {}, variance, 1e-3); }) ==
        "[fold_batch_norm] argument mean is an undefined tensor (default-constructed)");
  w.requires_grad_();
  CHECK(check::message([&] {
          fold_batch_norm(w, {}, {}, {}, mean, variance, 1e-3);
        }).find("[fold_batch_norm] has no backward") == 0);
}

TEST_CASE("batch_norm says what is wrong") {
  const Tensor<float> x = zeros<float>({2, 3, 4}), three = ones<float>({3}), none;
  const auto message = [](auto... a) { return check::message([&] { batch_norm(a...); }); };
  const BatchNormOptions train{.training = true};
  CHECK(message(x[0][0], none, none, none, none, train) ==
        "[batch_norm] expected x of shape (N, C, …), got (4,)");
  CHECK(message(x, ones<float>({4}), none, none, none, train) ==
        "[batch_norm] scale, shift and running statistics must have shape (3,), one has (4,)");
  CHECK(message(x, none, none, three, none, train) ==
        "[batch_norm] the running mean and variance come together, one of them is missing");
  CHECK(message(x, none, none, none, none, BatchNormOptions{}) ==
        "[batch_norm] needs running statistics outside training");
  CHECK(message(x, none, none, three, three, BatchNormOptions{.epsilon = 0}) ==
        "[batch_norm] epsilon must be positive, it is 0");
  CHECK(message(x, none, none, three, three, BatchNormOptions{.momentum = 1.5}) ==
        "[batch_norm] the momentum must be from 0 to 1, it is 1.5");
  CHECK(message(zeros<float>({1, 3, 1}), none, none, none, none, train) ==
        "[batch_norm] training on one element per channel, x is (1, 3, 1)");
  const Tensor<float> learning = ones<float>({3});
  learning.requires_grad_();
  CHECK(message(x, none, none, learning, three, train) ==
        "[batch_norm] running statistics have no gradient, but one of them collects one");
  // What is wrong with the second statistic is found before the first is changed.
  const Tensor<float> mean = zeros<float>({3}), expanded = ones<float>({1}).expand({3});
  CHECK(message(ones<float>({2, 3, 4}), none, none, mean, expanded, train) ==
        "[batch_norm] dimension 0 of shape (3,) was expanded, so its elements share memory: "
        "clone() it first");
  CHECK(check::same(mean, zeros<float>({3})));
  CHECK(message(x, none, none, mean, mean, train) ==
        "[batch_norm] the running mean and variance are one tensor");
  const Tensor<float> both = zeros<float>({3, 2});  // beside each other is well
  CHECK(message(ones<float>({2, 3, 4}), none, none, both.select(1, 0), both.select(1, 1), train) ==
        "");
  CHECK(both.at({2, 0}) == 0.1F);
}
