/// Pseudo-labels, L_cls, L_kd and L_fb against the PyTorch form in float64
/// (tests/golden/generate_dcl.py), and what the golden case cannot show: edges, thread counts,
/// gradients by differences.

#include "tandem/wtal/train/losses.hpp"

#include "../ops/check.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/ops/normalize.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/wtal/train/contrast.hpp"

using namespace tandem;
using namespace tandem::wtal;

namespace {

const io::Npz& golden_losses() {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/dcl.npz");
  return file;
}
Tensor<double> golden_loss(const std::string& key) {
  return golden_losses().at(key).tensor_as<double>().clone();
}
Tensor<bool> mask(const std::string& key) {
  return from_vector<bool>(golden_loss(key).to_vector(), golden_loss(key).shape());
}
Tensor<std::int32_t> labels() {
  return from_vector<std::int32_t>(golden_loss("h").to_vector(), golden_loss("h").shape());
}

/// All in double; a loss sums some hundred terms of order 1, so rounding stays below 1e-12.
constexpr double tolerance = 1e-12;

template <class F>
void compare(const std::string& key, const Tensor<double>& input, const char* gradient, F&& f) {
  INFO(key);
  const Tensor<double> x = input.clone();
  x.requires_grad_();
  const Tensor<double> loss = f(x);
  CHECK(std::fabs(loss.item() - golden_loss(key + ".value").item()) < tolerance);
  loss.backward();
  CHECK(check::distance(x.grad(), golden_loss(key + "." + gradient)) < tolerance);
}

}  // namespace

TEST_CASE("pseudo_labels: golden, and the states of the frames") {
  const Tensor<bool> valid = mask("mask");
  const Tensor<std::int32_t> h = pseudo_labels(golden_loss("p"), golden_loss("y"), valid);
  CHECK(check::same(h, labels()));
  const std::vector<FrameState> states = frame_states(h, valid);
  const std::vector<double> foreground = golden_loss("foreground").to_vector(),
                            background = golden_loss("background").to_vector(),
                            confident = golden_loss("confident").to_vector();
  for (std::size_t r = 0; r < states.size(); ++r) {
    INFO("frame ", r);
    CHECK((states[r] == FrameState::foreground) == (foreground[r] != 0));
    CHECK((states[r] != FrameState::undecided) == (confident[r] != 0));
    // A foreground frame may also be background in every other class; only the rest must agree.
    if (foreground[r] == 0) CHECK((states[r] == FrameState::background) == (background[r] != 0));
  }
}

TEST_CASE("pseudo_labels: thresholds are strict, NaN is undecided, wrong shapes are refused") {
  const Tensor<double> y = tensor<double>({{1, 0}});
  const Tensor<bool> valid = ones<bool>({1, 4});
  const auto h = pseudo_labels(
      tensor<double>({0.3, 0.9, 0.1, 0.9, NAN, 0.9, 0.31, 0.9}).view({1, 4, 2}), y, valid);
  CHECK(h.to_vector() == std::vector<std::int32_t>{-1, 0, -1, 0, -1, 0, 1, 0});
  CHECK(check::message([&] {
          pseudo_labels(zeros<double>({1, 4, 3}), y, valid);
        }) ==
        "[pseudo_labels] expected p (B, T, C), y (B, C), valid (B, T), got (1, 4, 3), (1, 2), (1, "
        "4)");
  CHECK(check::message([&] {
          pseudo_labels(zeros<double>({1, 4, 2}), y, valid, {.high = 0.1, .low = 0.3});
        }) == "[pseudo_labels] thresholds must satisfy 0 ≤ low ≤ high ≤ 1, they are 0.3 and 0.1");
}

TEST_CASE("loss_cls and topk_mean: golden in both readings") {
  const Tensor<bool> valid = mask("mask");
  CHECK(check::distance(topk_mean(golden_loss("logits"), valid), golden_loss("topk_mean")) <
        tolerance);
  compare("cls.sigmoid", golden_loss("logits"), "d_logits",
          [&](const auto& x) { return loss_cls(x, golden_loss("y"), valid, Reading::sigmoid); });
  compare("cls.softmax", golden_loss("logits"), "d_logits",
          [&](const auto& x) { return loss_cls(x, golden_loss("y"), valid, Reading::softmax); });
}

TEST_CASE("topk_mean: gradient, ties, strided scores, an empty video") {
  const Tensor<bool> valid = mask("mask");
  check::gradients([&](const auto& in) { return topk_mean(in[0], valid, 3); },
                   {golden_loss("logits")});
  const Tensor<double> flat = zeros<double>({1, 4, 1});
  flat.requires_grad_();
  topk_mean(flat, ones<bool>({1, 4}), 2).backward();
  // Equal: the earlier frames
  CHECK(flat.grad().to_vector() == std::vector<double>{0.5, 0.5, 0, 0});
  CHECK(check::message([&] {
          topk_mean(zeros<double>({1, 4, 1}), zeros<bool>({1, 4}));
        }) == "[topk_mean] video 0 of the batch has no valid frame");
}

TEST_CASE("loss_kd: golden in both readings and all options") {
  const Tensor<bool> valid = mask("mask");
  const Tensor<std::int32_t> h = labels();
  for (const Reading reading : {Reading::sigmoid, Reading::softmax}) {
    const std::string base = reading == Reading::sigmoid ? "kd.sigmoid." : "kd.softmax.";
    const auto run = [&](const char* name, const DistillationOptions& options) {
      compare(base + name, golden_loss("logits"), "d_logits",
              [&](const auto& x) { return loss_kd(x, h, valid, options); });
    };
    run("frames", {.reading = reading});
    run("entries", {.reading = reading, .every_entry = true});
    run("no_background", {.reading = reading, .background = false});
    // The gradient must also be the derivative, softmax Jacobian included.
    for (const bool every : {false, true}) {
      check::gradients(
          [&](const auto& in) {
            return loss_kd(in[0], h, valid, {.reading = reading, .every_entry = every});
          },
          {golden_loss("logits")});
    }
  }
}

TEST_CASE("loss_kd: certainty stays finite and learns; nothing confident gives 0") {
  const Tensor<bool> valid = ones<bool>({1, 2});
  const auto h = tensor<std::int32_t>({1, 0}).view({1, 2, 1});
  for (const double size : {40.0, 1e4, 1e30}) {
    const Tensor<double> s = tensor<double>({-size, size}).view({1, 2, 1});  // both wrong
    s.requires_grad_();
    const Tensor<double> loss = loss_kd(s, h, valid);
    CHECK(loss.item() == doctest::Approx(-std::log(1e-6)).epsilon(1e-6));
    loss.backward();
    CHECK(s.grad().at({0, 0, 0}) == doctest::Approx(-0.5).epsilon(1e-5));
    CHECK(s.grad().at({0, 1, 0}) == doctest::Approx(0.5).epsilon(1e-5));
  }
  const Tensor<double> s = zeros<double>({1, 2, 1});
  s.requires_grad_();
  const Tensor<double> none = loss_kd(s, full<std::int32_t>({1, 2, 1}, -1), valid);
  CHECK(none.item() == 0);
  none.backward();
  CHECK(s.grad().to_vector() == std::vector<double>{0, 0});
}

TEST_CASE("loss_fb: golden, batch-wide and in the same video") {
  const Tensor<bool> valid = mask("mask");
  const Tensor<std::int32_t> h = labels();
  for (const bool same : {false, true}) {
    compare(same ? "fb.same_video" : "fb.batch", golden_loss("f"), "d_f", [&](const auto& x) {
      return loss_fb(normalize(x, -1), h, valid, {.same_video = same});
    });
  }
  check::gradients([&](const auto& in) { return loss_fb(normalize(in[0], -1), h, valid); },
                   {golden_loss("f")});
}

TEST_CASE("loss_fb: no anchors, no background, features far from normalised") {
  const Tensor<bool> valid = ones<bool>({1, 3});
  const Tensor<double> f = check::normal({1, 3, 4}, 5);
  f.requires_grad_();
  const auto one = tensor<std::int32_t>({1, 0, 0}).view({1, 3, 1});
  const Tensor<double> lonely = loss_fb(f, one, valid);
  CHECK(lonely.item() == 0);
  lonely.backward();
  CHECK(check::distance(f.grad(), zeros<double>({1, 3, 4})) == 0);
  const auto all = ones<std::int32_t>({1, 3, 1});
  CHECK(std::fabs(loss_fb(f, all, valid).item()) < 1e-12);  // without Ψ⁻ the ratio is 1
  const auto two = tensor<std::int32_t>({1, 1, 0}).view({1, 3, 1});
  const Tensor<double> huge = mul(f.detach(), 1e3);  // exponents of 10⁷: only the maximum matters
  CHECK(std::isfinite(loss_fb(huge, two, valid).item()));
}

TEST_CASE(
    "loss_fb: more anchors than a tile, the same bits for any thread count, float near double") {
  const Tensor<double> f64 = normalize(check::normal({2, 700, 24}, 9), -1);
  Generator random(4);
  const Tensor<std::int32_t> h = randint<std::int32_t>({2, 700, 3}, -1, 2, random);
  const Tensor<bool> valid = ones<bool>({2, 700});
  const Tensor<float> f32 = check::cast<float>(f64);
  check::any_thread_count([&] {
    const Tensor<float> x = f32.clone();
    x.requires_grad_();
    const Tensor<float> loss = loss_fb(x, h, valid);
    loss.backward();
    return std::vector<Tensor<float>>{loss.detach(), x.grad()};
  });
  const Tensor<double> x64 = f64.clone();
  const Tensor<float> x32 = f32.clone();
  x64.requires_grad_();
  x32.requires_grad_();
  const Tensor<double> l64 = loss_fb(x64, h, valid);
  const Tensor<float> l32 = loss_fb(x32, h, valid);
  // Scores reach 1/τ = 14 with a rounding error of 14·24·ε, which is also the relative error of
  // each exponential: 14·24·6e-8 = 2e-5.
  CHECK(std::fabs(l32.item() - l64.item()) < 2e-5 * std::max(1.0, l64.item()));
  l64.backward();
  l32.backward();
  double largest = 0;
  for (double v : x64.grad().to_vector()) largest = std::max(largest, std::fabs(v));
  CHECK(check::distance(x32.grad(), x64.grad()) < 1e-4 * largest);
}
