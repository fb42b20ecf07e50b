/// I3D against PyTorch (tests/golden/generate_i3d.py) and TensorFlow (generate_i3d_tensorflow.py).

#include "tandem/i3d/inception.hpp"

#include "../ops/check.hpp"
#include "tandem/i3d/load.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/ops/abs.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

const io::Npz& golden() {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/i3d.npz");
  return file;
}
Tensor<double> get(const std::string& key) { return golden().at(key).tensor_as<double>(); }

/// The clip of a case as the network takes it: byte · 2 / 255 − 1, (N, T, H, W, 3) → (N, 3, T, H,
/// W).
template <FloatingElement T>
Tensor<T> network_input(const Tensor<std::uint8_t>& bytes) {
  const Tensor<std::uint8_t> dense = bytes.permute({0, 4, 1, 2, 3}).contiguous();
  const Tensor<T> out(dense.shape());
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.mutable_data()[i] = static_cast<T>(dense.data()[i] * 2 / 255.0 - 1);
  }
  return out;
}
template <FloatingElement T>
Tensor<T> clip_of(const std::string& name) {
  return network_input<T>(golden().at(name + ".clip").tensor<std::uint8_t>());
}

/// ‖ours − theirs‖/‖theirs‖.
template <class A>
double relative(const Tensor<A>& ours, const Tensor<double>& theirs) {
  REQUIRE(ours.shape() == theirs.shape());
  const std::vector<A> a = ours.to_vector();
  const std::vector<double> b = theirs.to_vector();
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

const char* const rgb = TANDEM_GOLDEN_DIR "/i3d/rgb.safetensors";

/// How a model may be kept.
enum class Kind { unfolded, folded, prepared, low };

template <FloatingElement T>
Ref<i3d::InceptionI3d<T>> model(Kind kind) {
  i3d::LoadOptions options;
  options.fold = kind != Kind::unfolded;
  options.prepare = kind == Kind::prepared || kind == Kind::low;
  options.bfloat16 = kind == Kind::low;
  const auto loaded = i3d::load<T>(rgb, options);
  CHECK(loaded.report.missing.empty());
  CHECK(loaded.report.unused.empty());
  CHECK(loaded.report.used.size() == 287);
  return loaded.model;
}

template <FloatingElement T>
void compare(Kind kind, double tolerance) {
  const auto net = model<T>(kind);
  const std::size_t endpoints = 18;
  for (const std::string name : {"t16", "t17", "t24"}) {
    INFO(name);
    std::size_t seen = 0;
    const auto out =
        net->run(clip_of<T>(name), [&](const std::string& endpoint, const Tensor<T>& x) {
          INFO(endpoint);
          ++seen;
          const std::string key = name + "." + endpoint;
          if (golden().contains(key)) CHECK(relative(x, get(key)) < tolerance);
        });
    CHECK(seen == endpoints);
    CHECK(relative(out.features, get(name + ".features")) < tolerance);
    CHECK(relative(out.logits, get(name + ".Logits")) < tolerance);
    CHECK(check::same(net->features(clip_of<T>(name)), out.features));
    CHECK(check::same(net->forward(clip_of<T>(name)), out.logits));
  }
}

void check_gradients(const std::string& key, bool training, double tolerance) {
  const auto net = model<double>(Kind::unfolded);
  net->requires_grad(true);
  net->train(training);
  const Tensor<double> x = clip_of<double>("t16");
  x.requires_grad_();
  const auto out = net->run(x);
  CHECK(relative(out.features.detach(), get(key + ".features")) < tolerance);
  CHECK(relative(out.logits.detach(), get(key + ".Logits")) < tolerance);
  add(sum(mul(out.features, get(key + ".cot"))), sum(mul(out.logits, get(key + ".cot_logits"))))
      .backward();
  CHECK(relative(x.grad(), get(key + ".d_clip")) < 1e-6);  // the file's are float
  std::size_t compared = 0;
  for (const auto& p : net->named_parameters()) {
    INFO(p.name);
    double largest = 0;
    for (const double v : p.tensor.grad().to_vector()) {
      REQUIRE(std::isfinite(v));
      largest = std::max(largest, std::fabs(v));
    }
    CHECK(largest > 0);
    const std::string name = key + ".d." + p.name;
    if (!golden().contains(name)) continue;
    ++compared;
    CHECK(relative(p.tensor.grad(), get(name)) < tolerance);
  }
  CHECK(compared == 11);
  if (!training) return;
  std::size_t statistics = 0;
  for (const auto& named : net->state_dict()) {
    if (!golden().contains(key + "." + named.name)) continue;
    ++statistics;
    CHECK(relative(named.tensor, get(key + "." + named.name)) < tolerance);
  }
  CHECK(statistics == 3);
}

}  // namespace

TEST_CASE(
    "I3D in double: features, logits and every endpoint as PyTorch has them, 16, 17 and 24 "
    "frames") {
  // Values in double but for those kept as float; sums of up to 6144 terms through 22 layers.
  compare<double>(Kind::unfolded, 1e-6);
  compare<double>(Kind::folded, 1e-6);
  const auto net = model<double>(Kind::folded);
  CHECK(relative(net->features(clip_of<double>("t17")), get("t17.features")) < 1e-12);
}

TEST_CASE("I3D in float, with a graph's ops and prepared") {
  // 22 layers, each adding roundings of 2⁻²⁴ to sums whose terms mostly cancel at random.
  for (const Kind kind : {Kind::unfolded, Kind::folded, Kind::prepared}) compare<float>(kind, 5e-6);
}

TEST_CASE("I3D in bfloat16: within the rounding of weights and activations") {
  // Each of 22 layers rounds both factors and its result, 2⁻⁹/√3 each.
  compare<float>(Kind::low, 3e-2);
}

TEST_CASE("I3D: gradients as PyTorch has them, in evaluation and in training") {
  check_gradients("t16.eval", false, 1e-11);
  check_gradients("t16.train", true, 1e-10);  // variances of 16 elements can be small
}

TEST_CASE("I3D with the paper's window: 9 frames of 224 x 224, the least it takes") {
  Tensor<std::uint8_t> bytes({1, 9, 224, 224, 3});
  for (std::int64_t i = 0; i < bytes.numel(); ++i) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761u;
    x ^= x >> 15;
    bytes.mutable_data()[i] = static_cast<std::uint8_t>(x >> 24);
  }
  auto loaded = i3d::load<float>(rgb, {.prepare = false, .window = Triple{2, 7, 7}});
  const Tensor<float> x = network_input<float>(bytes);
  for (const bool prepared : {false, true}) {
    if (prepared) loaded.model->prepare();
    const auto out = loaded.model->run(x);
    CHECK(relative(out.features, get("full.features")) < 5e-6);
    CHECK(relative(out.logits, get("full.Logits")) < 5e-6);
  }
  CHECK(check::message([&] { loaded.model->features(x.slice(2, 0, 8)); }) ==
        "[i3d] expected clips of at least 9 frames of 193 x 193, got (1, 3, 8, 224, 224)");
}

TEST_CASE("I3D from a TensorFlow checkpoint: what TensorFlow computes") {
  const io::Npz tensorflow = io::Npz::open(TANDEM_GOLDEN_DIR "/i3d_tensorflow.npz");
  const Tensor<float> x = tensorflow.at("clip").tensor<float>();
  // weights/convert.py i3d made the file from tests/golden/i3d/tensorflow/model.ckpt.
  const auto exact = i3d::load<double>(TANDEM_GOLDEN_DIR "/i3d/flow.safetensors");
  CHECK(exact.stream == "flow");
  const auto out =
      exact.model->run(x.to<double>(), [&](const std::string& name, const Tensor<double>& y) {
        INFO(name);
        CHECK(relative(y, tensorflow.at(name).tensor<double>()) < 1e-12);
      });
  CHECK(relative(out.features, tensorflow.at("features").tensor<double>()) < 1e-12);
  const auto quick = i3d::load<float>(TANDEM_GOLDEN_DIR "/i3d/flow.safetensors");
  quick.model->run(x, [&](const std::string& name, const Tensor<float>& y) {
    INFO(name);
    CHECK(relative(y, tensorflow.at(name).tensor<double>()) < 5e-6);
  });
}

TEST_CASE("I3D prepared: any thread count gives the same bits, a batch is its clips one by one") {
  for (const Kind kind : {Kind::prepared, Kind::low}) {
    const auto net = model<float>(kind);
    const Tensor<float> x = clip_of<float>("t16");
    check::any_thread_count([&] { return std::vector<Tensor<float>>{net->features(x)}; });
    const Tensor<float> both = net->features(x);
    CHECK(check::same(both.slice(0, 1, 2), net->features(x.slice(0, 1, 2))));
    CHECK(net->features(x.slice(0, 0, 0)).shape() == Shape{0, 64});
  }
}

TEST_CASE("I3D prepared: gradients still reach float clips, and bfloat16 refuses them") {
  const auto net = model<float>(Kind::prepared);
  const Tensor<float> x = clip_of<float>("t17");
  x.requires_grad_();
  const Tensor<float> y = net->features(x);
  CHECK(y.requires_grad());
  y.backward(ones<float>(y.shape()));
  CHECK(sum(tandem::abs(x.grad())).item() > 0);
  CHECK(check::message([&] { model<float>(Kind::low)->features(x); }) ==
        "[i3d] the weights are kept as bfloat16, through which no gradient flows");
}

TEST_CASE("I3D: sizes as published") {
  const nn::SkipInit skip;
  Generator random(1);
  const i3d::InceptionI3d<float> rgb_model({}, random), flow_model({.channels = 2}, random);
  // The published checkpoints without the 57 scales: 12 704 544 and 12 682 592 values.
  const auto count = [](const i3d::InceptionI3d<float>& net) {
    std::int64_t n = 0;
    for (const auto& named : net.state_dict()) {
      const bool added =
          named.name.ends_with("bn.weight") || named.name.ends_with("num_batches_tracked");
      n += added ? 0 : named.tensor.numel();
    }
    return n;
  };
  CHECK(count(rgb_model) == 12704544);
  CHECK(count(flow_model) == 12682592);
  CHECK(rgb_model.config().features() == 1024);
  CHECK(check::message([&] {
          flow_model.features(zeros<float>({1, 3, 9, 193, 193}));
        }) == "[i3d] expected clips (N, 2, T, H, W), got (1, 3, 9, 193, 193)");
}
