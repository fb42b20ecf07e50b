/// Branches against PyTorch (tests/golden/generate_dcl.py), the trainer's phases, repeatability,
/// resuming.

#include "tandem/wtal/train/trainer.hpp"

#include <memory>

#include "../ops/check.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/ops/where.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "trainer_setup.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace trainer_setup;

namespace {

const io::Npz& golden() {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/dcl.npz");
  return file;
}
Tensor<double> get(const std::string& key) { return golden().at(key).tensor_as<double>().clone(); }

}  // namespace

TEST_CASE("CbpBranch: PyTorch's features, logits, loss and every gradient of an F step") {
  Generator random(0);
  CbpBranch<double> cbp({.input = 6, .classes = 5, .width = 8, .layers = 1, .heads = 2}, random);
  std::vector<nn::Named<double>> state;
  for (const std::string& name : golden().names()) {
    if (name.starts_with("cbp.state.")) state.push_back({name.substr(10), get(name)});
  }
  cbp.load_state_dict(state);
  const Tensor<bool> valid = from_vector<bool>(get("mask").to_vector(), get("mask").shape());
  const auto h = from_vector<std::int32_t>(get("h").to_vector(), get("h").shape());
  const BranchOutput<double> out = cbp.forward(get("cbp.x"), valid);
  const Tensor<double> keep = get("mask").unsqueeze(2);
  CHECK(check::distance(mul(out.features.detach(), keep), get("cbp.features")) < 1e-12);
  CHECK(check::distance(mul(out.logits.detach(), keep), get("cbp.logits")) < 1e-12);
  const Tensor<double> loss =
      add(loss_kd(out.logits, h, valid), mul(loss_fb(normalize(out.features, -1), h, valid), 0.05));
  CHECK(std::fabs(loss.item() - get("cbp.loss").item()) < 1e-12);
  loss.backward();
  for (const auto& p : cbp.named_parameters()) {
    INFO(p.name);
    CHECK(check::distance(p.tensor.grad(), get("cbp.grad." + p.name)) < 1e-11);
  }
}

TEST_CASE("CbpBranch: without blocks, as with them, asked frames have the values of all frames") {
  for (const std::int64_t layers : {0, 1}) {
    Generator random(3);
    const CbpBranch<float> cbp({.input = 6, .classes = 5, .width = 8, .layers = layers, .heads = 2},
                               random);
    const Tensor<float> x = randn<float>({2, 7, 6}, random);
    const Tensor<bool> valid = ones<bool>({2, 7});
    const auto chosen = randint<std::int32_t>({2, 7}, 0, 2, random);
    Tensor<bool> wanted(chosen.shape());
    for (std::int64_t i = 0; i < chosen.numel(); ++i)
      wanted.mutable_data()[i] = chosen.data()[i] == 1;
    const BranchOutput<float> all = cbp.forward(x, valid), some = cbp.forward(x, valid, wanted);
    REQUIRE(some.logits.shape() == all.logits.shape());
    REQUIRE(some.features.shape() == all.features.shape());
    const Tensor<float> keep = wanted.to<float>().unsqueeze(2);
    CHECK(check::distance(mul(some.logits.detach(), keep), mul(all.logits.detach(), keep)) < 1e-6);
  }
}

TEST_CASE(
    "VlpBranch: identity start, prompts and temporal transformer learn, text encoder does not") {
  Setup setup(options());
  const Tensor<bool> valid = ones<bool>({2, 7});
  Generator random(5);
  const Tensor<float> x = randn<float>({2, 7, 16}, random);
  const BranchOutput<float> start = setup.vlp.forward(x, valid);
  // Identity plus positions of size 0.01: the direction hardly changes.
  CHECK(check::distance(start.features.detach(), normalize(x, -1)) < 0.05);
  const auto h = randint<std::int32_t>({2, 7, 5}, -1, 2, random);
  loss_kd(start.logits, h, valid).backward();
  int learned = 0;
  for (const auto& p : setup.vlp.named_parameters()) {
    INFO(p.name);
    REQUIRE(p.tensor.grad().defined());
    for (float g : p.tensor.grad().to_vector()) REQUIRE(std::isfinite(g));
    learned += check::distance(p.tensor.grad(), zeros<float>(p.tensor.shape())) > 0;
  }
  CHECK(learned >= 6);  // prompts, positions, output projections; the rest follows once those moved
  for (const auto& p : setup.text->named_parameters()) CHECK_FALSE(p.tensor.grad().defined());
}

TEST_CASE("branches: frames that nobody reads change neither the others nor any gradient") {
  Setup setup(options());
  setup.cbp.eval();  // without dropout the frames are comparable
  Generator random(5);
  Tensor<bool> valid = ones<bool>({2, 9}), wanted = ones<bool>({2, 9});
  for (std::int64_t t : {6, 7, 8}) valid.set({1, t}, false);
  for (std::int64_t i = 0; i < 18; ++i) wanted.mutable_data()[i] = valid.data()[i] && i % 3 != 0;
  const auto compare = [&](Branch<float>& branch, const Tensor<float>& x) {
    const Tensor<float> g = randn<float>({2, 9, 5}, random), k = randn<float>({2, 9, 16}, random);
    const Tensor<float> mask =
        where(wanted.unsqueeze(2), ones<float>({2, 9, 1}), zeros<float>({2, 9, 1}));
    std::vector<Tensor<float>> outputs, gradients[2];
    for (const bool partial : {false, true}) {
      const BranchOutput<float> out = branch.forward(x, valid, partial ? wanted : Tensor<bool>());
      outputs.push_back(mul(out.features.detach(), mask));
      outputs.push_back(mul(out.logits.detach(), mask));
      if (partial) {
        CHECK(check::same(out.logits.detach(), outputs.back()));
        CHECK(check::same(out.features.detach(), outputs[2]));
      }
      branch.zero_grad();
      add(sum(mul(mul(out.logits, g), mask)), sum(mul(mul(out.features, k), mask))).backward();
      for (const auto& p : branch.trainable_parameters())
        gradients[partial].push_back(p.grad().clone());
    }
    // Rows do not know of each other, apart from their keys and values.
    CHECK(check::distance(outputs[0], outputs[2]) < 1e-6);
    CHECK(check::distance(outputs[1], outputs[3]) < 1e-5);
    for (std::size_t i = 0; i < gradients[0].size(); ++i) {
      const double size =
          std::max(1.0, check::distance(gradients[0][i], zeros<float>(gradients[0][i].shape())));
      // Sums over 18 frames in another order: 2⁻²⁴ each, on top of sums over widths of at most 64.
      CHECK(check::distance(gradients[0][i], gradients[1][i]) < size * 18 * 64 * 0x1p-24);
    }
  };
  compare(setup.cbp, randn<float>({2, 9, 24}, random));
  compare(setup.vlp, randn<float>({2, 9, 16}, random));
}

TEST_CASE("VlpBranch: text features are kept where the prompts do not learn, until they change") {
  Setup setup(options());
  CHECK_FALSE(setup.vlp.text_features().is_same(setup.vlp.text_features()));  // they learn
  CHECK(setup.vlp.text_features().requires_grad());
  const NoGrad no_grad;
  const Tensor<float> kept = setup.vlp.text_features();
  CHECK(setup.vlp.text_features().is_same(kept));
  setup.vlp.prompts.after.set({0, 0, 0}, 3);
  const Tensor<float> changed = setup.vlp.text_features();
  CHECK(check::distance(changed, kept) > 1e-4);
  CHECK(setup.vlp.text_features().is_same(changed));
  setup.vlp.prompts.freeze();
  {
    const EnableGrad recording;
    CHECK(setup.vlp.text_features().is_same(changed));
    CHECK_FALSE(setup.vlp.text_features().requires_grad());
  }
}

TEST_CASE("learned_positions: the table, and the table stretched over a longer video") {
  const Tensor<double> table = tensor<double>({{0, 10}, {1, 20}, {4, 30}});
  CHECK(check::same(learned_positions(table, 2), table.slice(0, 0, 2)));
  CHECK(check::distance(learned_positions(table, 5),
                        tensor<double>({{0, 10}, {0.5, 15}, {1, 20}, {2.5, 25}, {4, 30}})) < 1e-15);
  check::gradients([](const auto& in) { return learned_positions(in[0], 7); }, {table});
}

TEST_CASE("trainer: phases of the variants") {
  TrainerOptions t = options();
  const auto names = [&](Variant variant) {
    t.variant = variant;
    std::string out;
    for (const Phase& p : training_phases(t))
      out += concat(p.name(), p.round, ":", p.begin, "-", p.end, " ");
    return out;
  };
  CHECK(names(Variant::both) == "warm-up0:0-4 B1:4-7 F1:7-9 B2:9-12 F2:12-14 ");
  CHECK(names(Variant::only_b) == "warm-up0:0-4 B1:4-7 B2:7-10 ");
  CHECK(names(Variant::only_f) == "warm-up0:0-4 F1:4-6 F2:6-8 ");
  CHECK(names(Variant::warm_up) == "warm-up0:0-4 ");
  CHECK(names(Variant::vanilla_vlp) == "");
}

TEST_CASE("trainer: each step changes its student only") {
  const Data data;
  Setup setup(options());
  const Sampler sampler(data.lengths, 3, 30, Generator(9));
  const auto copy = [](const nn::Module<float>& m) {
    std::vector<Tensor<float>> out;
    for (const auto& p : m.parameters()) out.push_back(p.detach().clone());
    return out;
  };
  const auto moved = [&](const std::vector<Tensor<float>>& before, const nn::Module<float>& m) {
    bool any = false;
    const auto now = copy(m);
    for (std::size_t i = 0; i < now.size(); ++i) any = any || !check::same(before[i], now[i]);
    return any;
  };
  while (!setup.trainer.finished()) {
    const auto kind = setup.trainer.current_phase().kind;
    const auto cbp = copy(setup.cbp), vlp = copy(setup.vlp), text = copy(*setup.text);
    const StepReport report =
        setup.trainer.step(make_batch<float>(*data.train, sampler.crops(setup.trainer.steps())));
    CHECK(std::isfinite(report.total));
    CHECK(report.grad_norm > 0);
    CHECK(moved(cbp, setup.cbp) == (kind != Phase::Kind::b));
    CHECK(moved(vlp, setup.vlp) == (kind == Phase::Kind::b));
    CHECK_FALSE(moved(text, *setup.text));
  }
}

TEST_CASE("trainer: resumed after any step and on any thread count, the same bits") {
  const Data data;
  std::vector<Tensor<float>> reference;
  {
    const check::Threads one(1);
    reference = run(data, -1);
  }
  const auto equal = [&](const std::vector<Tensor<float>>& other) {
    bool all = other.size() == reference.size();
    for (std::size_t i = 0; all && i < other.size(); ++i) all = check::same(other[i], reference[i]);
    return all;
  };
  for (std::int64_t step = 0; step < 14; step += 3) {
    INFO("interrupted at step ", step);
    CHECK(equal(run(data, step)));
  }
  // Checkpoints of earlier versions count the steps of each optimizer, not of each parameter.
  CHECK(equal(run(data, 9, Precision::full, false)));
  for (int threads : {2, 3}) {
    const check::Threads scope(threads);
    CHECK(equal(run(data, -1)));
  }
}

TEST_CASE(
    "trainer: a warm-up needs no VLP and has the same bits without; a phase names the branch that "
    "it lacks") {
  const Data data;
  TrainerOptions t = options();
  t.variant = Variant::warm_up;
  const Sampler sampler(data.lengths, 3, 30, Generator(9));
  Setup with(t), without(t);
  Trainer<float> alone(t, &without.cbp, nullptr);
  while (!alone.finished()) {
    Batch<float> batch = make_batch<float>(*data.train, sampler.crops(alone.steps()));
    with.trainer.step(batch);
    batch.clip = {};
    alone.step(batch);
  }
  CHECK(alone.counters() == std::vector<std::int64_t>{4, 4, 0});
  const auto state = alone.state();
  for (const auto& named : state) {
    CHECK(named.name.find("vlp") == std::string::npos);
    for (const auto& other : with.trainer.state()) {
      if (other.name == named.name) CHECK(other.tensor.to_vector() == named.tensor.to_vector());
    }
  }
  Trainer<float> again(t, &without.cbp, nullptr);
  again.load(state, alone.counters());
  CHECK(again.finished());
  const auto error = [](auto&& f) {
    try {
      f();
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const std::string lacks_vlp = error([&] { Trainer<float>(options(), &without.cbp, nullptr); }),
                    lacks_cbp = error([&] { Trainer<float>(options(), nullptr, &without.vlp); });
  CHECK(lacks_vlp == "[trainer] the phase B needs VLP, which is not there");
  CHECK(lacks_cbp == "[trainer] the phase warm-up needs CBP, which is not there");
  t.variant = Variant::vanilla_vlp;
  CHECK(Trainer<float>(t, nullptr, &without.vlp).finished());
  // Inference asks the branches that it reads only.
  without.cbp.eval();
  without.vlp.eval();
  InferenceOptions how;
  const Branch<float>*cbp = &without.cbp, *none = nullptr;
  CHECK(fused_scores(cbp, none, data.train->i3d(0), {}, how).frames.defined());
  how.fusion = Fusion::mean;
  CHECK(error([&] { fused_scores(cbp, none, data.train->i3d(0), data.train->clip(0), how); }) ==
        "[inference] these scores need VLP, which is not there");
  const Branch<float>* vlp = &without.vlp;
  CHECK(error([&] { fused_scores(cbp, vlp, data.train->i3d(0), {}, how); }) ==
        "[inference] these scores need CLIP rows, which are not there");
  // Several ways at once, for which a branch is asked once, are what each gives alone.
  std::vector<InferenceOptions> ways(3);
  ways[0].localization.thresholds = {0.3, 0.6};
  ways[1].fusion = ways[2].fusion = Fusion::geometric_mean;
  ways[2].localization.thresholds = {0.3, 0.6};  // overlaps, which the NMS then weighs
  ways[2].localization.nms.sigma = 0.1;
  std::size_t asked = 0;
  const auto count = [&](std::size_t, std::size_t) { ++asked; };
  const auto found = detect(cbp, vlp, *data.train, std::span<const InferenceOptions>(ways), count);
  CHECK(asked == data.train->size());
  REQUIRE(found.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(found[i].size() > 0);
    CHECK(found[i].videos == detect(cbp, vlp, *data.train, ways[i], count).videos);
  }
  CHECK(found[1].videos != found[2].videos);
  ways[1].topk_divisor = 4;
  CHECK(error([&] {
          detect(cbp, vlp, *data.train, std::span<const InferenceOptions>(ways), count);
        }) == "[inference] scores that are computed once must be read in one way");
}

TEST_CASE("trainer: a branch without trainable parameters teaches, and is not taught") {
  const Data data;
  TrainerOptions t = options();
  Setup frozen(t);
  frozen.cbp.freeze();
  CHECK(check::message([&] { Trainer<float>(t, frozen.cbp, frozen.vlp); }) ==
        "[trainer] the phase warm-up trains CBP, which has no parameters that learn");
  t.warm_up_steps = 0;
  CHECK(check::message([&] { Trainer<float>(t, frozen.cbp, frozen.vlp); }) ==
        "[trainer] the phase F trains CBP, which has no parameters that learn");
  t.variant = Variant::only_b;
  Trainer<float> trainer(t, frozen.cbp, frozen.vlp);
  const Sampler sampler = trainer.sampler(data.lengths);
  while (!trainer.finished())
    trainer.step(make_batch<float>(*data.train, sampler.crops(trainer.steps())));
  CHECK(trainer.counters() == std::vector<std::int64_t>{6, 0, 6});
  for (const auto& named : trainer.state())
    CHECK(named.name.find("optimizer.cbp.") == std::string::npos);
  Trainer<float> resumed(t, frozen.cbp, frozen.vlp);
  resumed.load(trainer.state(), trainer.counters());
  CHECK(resumed.finished());
}

TEST_CASE("detect, judge_pseudo_labels: rows last as long as the source says") {
  SimulationOptions simulation = tiny();
  // Lengths that are powers of two: scaled times have the same digits.
  Setup setup(options());
  const nn::Evaluating<float> evaluating{&setup.cbp, &setup.vlp};
  const auto source = [&](double seconds) {
    simulation.seconds_per_row = seconds;
    return std::make_unique<SimulatedSource>(simulate_annotations(simulation), "train",
                                             Simulator(simulation, setup.vlp.text_features()));
  };
  const auto half = source(0.5), whole = source(1);
  InferenceOptions how;
  how.localization.class_threshold = 0;
  const auto silent = [](std::size_t, std::size_t) {};
  const DetectionSet a = detect(setup.cbp, setup.vlp, *half, how, silent),
                     b = detect(setup.cbp, setup.vlp, *whole, how, silent);
  CHECK(a.size() > 0);
  REQUIRE(a.size() == b.size());
  for (std::size_t v = 0; v < a.videos.size(); ++v) {
    for (std::size_t d = 0; d < a.videos[v].detections.size(); ++d) {
      const Detection &x = a.videos[v].detections[d], &y = b.videos[v].detections[d];
      CHECK(x.segment.start * 2 == y.segment.start);
      CHECK(x.segment.end * 2 == y.segment.end);
      CHECK(x.segment.end <= half->truth().videos[v].duration);
    }
  }
  const auto judge = [&](const SimulatedSource& s) {
    return judge_pseudo_labels(setup.vlp, s, [&](std::size_t v) { return s.clip(v); },
                               Reading::sigmoid, {.high = 0.5, .low = 0.49});
  };
  CHECK(judge(*half).foreground() == judge(*whole).foreground());
  CHECK(judge(*half).pairs() > 0);
}

TEST_CASE(
    "trainer: products in bfloat16: other bits, near the float run's, the same after a resume") {
  const Data data;
  const std::vector<Tensor<float>> exact = run(data, -1), low = run(data, -1, Precision::bfloat16),
                                   resumed = run(data, 6, Precision::bfloat16);
  bool differs = false;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CHECK(check::same(low[i], resumed[i]));
    differs = differs || !check::same(exact[i], low[i]);
  }
  CHECK(differs);
  // One step from the same weights: logits within a few roundings of bfloat16 (2^-9), for a depth
  // of five products in a row, of the largest.
  const NoGrad no_grad;
  Setup a(options()), b(options(), Precision::bfloat16);
  a.cbp.eval();  // no dropout
  b.cbp.eval();
  const Batch<float> batch =
      make_batch<float>(*data.train, Sampler(data.lengths, 3, 30, Generator(9)).crops(0));
  const Tensor<float> s = a.cbp.forward(batch.i3d, batch.valid).logits,
                      t = b.cbp.forward(batch.i3d, batch.valid).logits;
  double largest = 0;
  for (const float x : s.to_vector())
    largest = std::fmax(largest, std::fabs(static_cast<double>(x)));
  CHECK(check::distance(s, t) > 0);
  CHECK(check::distance(s, t) < 5 * 0x1p-7 * largest);
}

TEST_CASE(
    "trainer: asking a frozen teacher once per crop gives the bits of asking it in every step") {
  const Data data;
  TrainerOptions t = options();
  t.b_steps = t.f_steps = 9;  // 27 draws of 8 videos: three of each in a phase
  const auto train = [&](bool remember, std::int64_t stop_at) {
    Setup setup(t);
    const Sampler sampler(data.lengths, 3, 25, Generator(9));  // some videos are cropped
    while (!setup.trainer.finished()) {
      auto batch = make_batch<float>(*data.train, sampler.crops(setup.trainer.steps()));
      if (!remember) batch.crops.clear();
      if (setup.trainer.steps() == stop_at) {
        // An evaluation in the middle of a phase, with CBP's dropout off.
        const nn::Evaluating<float> evaluating{&setup.cbp, &setup.vlp};
        const auto silent = [](std::size_t, std::size_t) {};
        CHECK(detect(setup.cbp, setup.vlp, *data.train, {.fusion = Fusion::mean}, silent)
                  .videos.size() == 8);
        CHECK(setup.vlp.text_features().is_same(setup.vlp.text_features()));
      }
      CHECK(setup.cbp.drop.training());
      setup.trainer.step(batch);
    }
    std::vector<Tensor<float>> out;
    for (const auto& named : setup.trainer.state()) out.push_back(named.tensor.clone());
    return out;
  };
  const auto reference = train(false, -1);
  for (std::int64_t stop_at : {-1, 9, 17}) {
    const auto remembered = train(true, stop_at);
    for (std::size_t i = 0; i < reference.size(); ++i)
      REQUIRE(check::same(remembered[i], reference[i]));
  }
}

TEST_CASE(
    "trainer: by every rule of the pseudo-labels, resumed with the same bits; rates of its own") {
  const Data data;
  std::vector<std::vector<Tensor<float>>> ends;
  for (const PseudoLabelRule rule : {PseudoLabelRule::thresholds, PseudoLabelRule::calibrated,
                                     PseudoLabelRule::ranked, PseudoLabelRule::min_max}) {
    TrainerOptions how = options();
    how.pseudo.rule = rule;
    how.vlp_learning_rate = 2e-2;
    const auto whole = run(data, -1, Precision::full, true, how);
    for (const std::int64_t step : {2, 4, 5, 9}) {  // 4: before the shares are made
      const auto resumed = run(data, step, Precision::full, true, how);
      REQUIRE(resumed.size() == whole.size());
      for (std::size_t i = 0; i < whole.size(); ++i) CHECK(check::same(resumed[i], whole[i]));
    }
    const bool calibrated = rule == PseudoLabelRule::calibrated;
    CHECK(whole.size() == run(data, -1).size() + (calibrated ? 1 : 0));
    ends.push_back(whole);
    if (!calibrated) continue;
    // Shares of the training videos, and nothing goes on without them.
    const Tensor<float>& shares = whole.back();
    CHECK(shares.shape() == Shape{8, 5});
    for (std::int64_t i = 0; i < 40; ++i) CHECK((shares.data()[i] >= 0 && shares.data()[i] <= 1));
    Setup setup(how);
    const Sampler sampler(data.lengths, 3, 30, Generator(9));
    CHECK(!setup.trainer.needs_calibration());
    for (int step = 0; step < 4; ++step)
      setup.trainer.step(make_batch<float>(*data.train, sampler.crops(step)));
    CHECK(setup.trainer.needs_calibration());
    CHECK(check::message([&] {
            setup.trainer.step(make_batch<float>(*data.train, sampler.crops(4)));
          }) == "[trainer] calibrated pseudo-labels need calibrate() after the warm-up");
  }
  // The rules differ, and so does another rate of VLP.
  for (std::size_t a = 0; a < ends.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) CHECK(!check::same(ends[a][0], ends[b][0]));
  }
  TrainerOptions slow = options();
  slow.vlp_learning_rate = 1e-3;
  const auto same = run(data, 4, Precision::full, true, slow), usual = run(data, -1);
  CHECK(!check::same(same[same.size() / 2], usual[usual.size() / 2]));
}

TEST_CASE("branches: a scale of the rows is the branch on scaled rows") {
  Generator a(3), b(3);
  const CbpBranch<double> plain({.input = 6, .classes = 3, .width = 8, .layers = 1, .heads = 2}, a),
      scaled({.input = 6, .classes = 3, .width = 8, .layers = 1, .heads = 2, .scale = 2.5}, b);
  const Tensor<double> x = check::normal({2, 5, 6}, 4);
  const Tensor<bool> valid = ones<bool>({2, 5});
  CHECK(check::same(scaled.forward(x, valid).logits, plain.forward(mul(x, 2.5), valid).logits));
}

TEST_CASE("trainer: the crops follow from the options, on the stream that they have always had") {
  TrainerOptions t = options();
  t.seed = 7;
  t.crop = 15;
  const std::vector<std::int64_t> lengths{30, 12, 25, 40, 16};
  const Setup setup(t);
  const Sampler own = setup.trainer.sampler(lengths),
                expected(lengths, 3, 15, Generator(7).split(5));
  for (std::int64_t step = 0; step < 5; ++step) {
    const std::vector<Crop> a = own.crops(step), b = expected.crops(step);
    REQUIRE(a.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(a[i].video == b[i].video);
      CHECK(a[i].begin == b[i].begin);
      CHECK(a[i].rows == b[i].rows);
    }
  }
}

TEST_CASE("LabelMemory: gives back the H of exactly the crop that was kept") {
  const Tensor<std::int32_t> h =
      tensor<std::int32_t>({0, 1, 0, 0, -1, 0, -1, -1, -1, 1, 0, -1, 0, 0, 1, -1, 0, 0})
          .reshape({2, 3, 3});
  const Tensor<float> labels = tensor<float>({{0, 1, 0}, {1, 0, 1}});
  const Crop first{7, 4, 2}, second{2, 0, 3};  // the first has a padded row
  LabelMemory memory;
  CHECK_FALSE(memory.knows(first));
  memory.keep(first, h, 0, labels.data());
  memory.keep(second, h, 1, labels.data() + 3);
  CHECK(check::same(memory.recall({first, second}, 3, 3), h));
  CHECK_FALSE(memory.knows({7, 5, 2}));
  CHECK_FALSE(memory.knows({7, 4, 1}));
  CHECK_THROWS_WITH_AS(memory.recall({{7, 5, 2}}, 2, 3),
                       doctest::Contains("nothing is known of rows 5 to 7 of video 7"), Error);
  memory.clear();
  CHECK_FALSE(memory.knows(second));
}

TEST_CASE("batches: padding, crops, labels; each video once per order") {
  const Data data;
  const Sampler sampler(data.lengths, 3, 20, Generator(2));
  std::vector<int> seen(data.lengths.size(), 0);
  for (std::int64_t step = 0; step < 8; ++step) {  // 24 draws = 3 orders of 8 videos
    for (const Crop& crop : sampler.crops(step)) {
      ++seen[crop.video];
      CHECK(crop.rows == std::min<std::int64_t>(20, data.lengths[crop.video]));
      CHECK(crop.begin + crop.rows <= data.lengths[crop.video]);
    }
  }
  for (int count : seen) CHECK(count == 3);
  const auto batch = make_batch<float>(*data.train, {{0, 1, 5}, {1, 0, 9}});
  CHECK(batch.i3d.shape() == Shape{2, 9, 24});
  CHECK(check::same(batch.i3d[0].slice(0, 0, 5).contiguous(),
                    data.train->i3d(0).slice(0, 1, 6).contiguous()));
  CHECK(check::same(batch.clip[0].slice(0, 5, 9).contiguous(), zeros<float>({4, 16})));
  CHECK(batch.valid[0].to_vector() == std::vector<bool>{1, 1, 1, 1, 1, 0, 0, 0, 0});
  double labels = 0;
  for (float v : batch.labels[0].to_vector()) labels += v;
  CHECK(labels == static_cast<double>(data.train->truth().videos[0].labels.size()));
}
