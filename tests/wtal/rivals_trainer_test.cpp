/// Other methods in CBP's place: their own warm-up, what pseudo-labels teach them in F steps,
/// resuming, their own inference.

#include <functional>

#include "../ops/check.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "tandem/wtal/model/basnet.hpp"
#include "tandem/wtal/model/co2.hpp"
#include "tandem/wtal/model/um.hpp"
#include "tandem/wtal/model/wtalc.hpp"
#include "trainer_setup.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace trainer_setup;

namespace {

using Make = std::function<Ref<Branch<float>>(double dropout)>;

Ref<Branch<float>> basnet(double dropout) {
  BasNetOptions o{.input = 24, .classes = 5, .width = 12, .filter_width = 6, .dropout = dropout};
  o.alpha = 1e-2;
  o.class_threshold = 0.05;
  o.recipe.batch = 3;
  o.recipe.frames = 14;
  Generator random(5);
  return make_ref<BasNetBranch<float>>(o, random);
}
Ref<Branch<float>> wtalc(double dropout) {
  WtalcOptions o{.input = 24, .classes = 5, .dropout = dropout};
  o.recipe.batch = 5;
  o.recipe.pairs = 2;
  o.recipe.frames = 20;
  Generator random(6);
  return make_ref<WtalcBranch<float>>(o, random);
}
Ref<Branch<float>> co2(double dropout) {
  Co2Options o{
      .streams = {.stream = 12, .hidden = 6, .dropout = dropout}, .classes = 5, .dropout = dropout};
  o.recipe.batch = 5;
  o.recipe.pairs = 2;
  o.recipe.frames = 16;
  Generator random(7);
  return make_ref<Co2Branch<float>>(o, random);
}
Ref<Branch<float>> um(double dropout) {
  UmOptions o{.input = 24, .classes = 5, .width = 12, .dropout = dropout};
  o.margin = 5;
  o.recipe.batch = 3;
  o.recipe.frames = 18;
  Generator random(8);
  return make_ref<UmBranch<float>>(o, random);
}
const std::pair<const char*, Make> methods[] = {
    {"basnet", basnet}, {"co2", co2}, {"um", um}, {"wtalc", wtalc}};

/// A method beside VLP.
struct MethodSetup {
  MethodSetup(const TrainerOptions& t, const Make& make, double dropout = 0.5)
      : base(t), method(make(dropout)), trainer(t, *method, base.vlp) {}
  StepReport step(const Data& data) {
    const TrainingSampler sampler = trainer.sampler(data.lengths, data.train->truth());
    if (trainer.needs_calibration()) trainer.calibrate(*data.train);
    return trainer.step(make_batch<float>(*data.train, sampler.crops(trainer.steps())));
  }
  Setup base;
  Ref<Branch<float>> method;
  Trainer<float> trainer;
};

TrainerOptions short_run() {
  TrainerOptions t = options();
  t.weight_decay = 0.01;
  t.pseudo.rule = PseudoLabelRule::ranked;  // always decides some frames
  return t;
}

}  // namespace

TEST_CASE("other methods: a run, resumed after any step and on two threads, has the same bits") {
  const Data data;
  for (const auto& [name, make] : methods) {
    INFO(name);
    const auto finish = [&, &make = make](std::int64_t interrupt_at) {
      auto setup = std::make_unique<MethodSetup>(short_run(), make);
      while (!setup->trainer.finished()) {
        if (setup->trainer.steps() == interrupt_at) {
          auto state = setup->trainer.state();
          for (auto& named : state) named.tensor = named.tensor.clone();
          const auto counters = setup->trainer.counters();
          setup = std::make_unique<MethodSetup>(short_run(), make);
          setup->trainer.load(state, counters);
          interrupt_at = -1;
        }
        const StepReport report = setup->step(data);
        CHECK(std::isfinite(report.total));
        CHECK(report.grad_norm > 0);
      }
      std::vector<Tensor<float>> out;
      for (const auto& named : setup->trainer.state()) out.push_back(named.tensor.clone());
      return out;
    };
    const auto reference = finish(-1);
    const auto same = [&](const std::vector<Tensor<float>>& other) {
      bool all = other.size() == reference.size();
      for (std::size_t i = 0; all && i < other.size(); ++i)
        all = check::same(other[i], reference[i]);
      return all;
    };
    for (const std::int64_t step : {1, 3, 4, 6, 8, 11}) {
      INFO("interrupted at step ", step);
      CHECK(same(finish(step)));
    }
    const check::Threads scope(2);
    CHECK(same(finish(-1)));
  }
}

TEST_CASE("other methods: the warm-up is the method's own training, and an F step is DCL's") {
  const Data data;
  for (const auto& [name, make] : methods) {
    INFO(name);
    const TrainerOptions t = short_run();
    MethodSetup setup(t, make, 0);
    const Ref<Branch<float>> twin = make(0);
    const rivals::Recipe& recipe = *twin->recipe();
    optim::Adam<float> adam(twin->trainable_parameters(), {.learning_rate = recipe.learning_rate,
                                                           .weight_decay = recipe.weight_decay});
    const TrainingSampler sampler = setup.trainer.sampler(data.lengths, data.train->truth());
    CHECK(setup.trainer.learning_rates(3).cbp == recipe.learning_rate);
    CHECK(setup.trainer.learning_rates(4).cbp == t.learning_rate);
    for (std::int64_t i = 0; i < t.warm_up_steps; ++i) {
      const Batch<float> batch = make_batch<float>(*data.train, sampler.crops(i));
      const Tensor<float> loss = twin->own_loss(batch.i3d, batch.valid, batch.labels);
      const StepReport report = setup.trainer.step(batch);
      CHECK(report.cls == static_cast<double>(loss.item()));
      adam.zero_grad();
      loss.backward();
      adam.step();
    }
    const auto a = setup.method->state_dict(), b = twin->state_dict();
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK(check::same(a[i].tensor.clone(), b[i].tensor.clone()));
    // From here on crops are DCL's, of one length
    const std::vector<Crop> crops = sampler.crops(t.warm_up_steps);
    const std::vector<Crop> usual =
        Sampler(data.lengths, t.batch, t.crop, Generator(t.seed).split(5)).crops(t.warm_up_steps);
    REQUIRE(crops.size() == usual.size());
    for (std::size_t i = 0; i < crops.size(); ++i) {
      CHECK((crops[i].index.empty() && crops[i].begin == usual[i].begin));
      CHECK(crops[i].video == usual[i].video);
    }
    CHECK_THROWS_WITH_AS(setup.trainer.sampler(data.lengths), doctest::Contains("of its own"),
                         Error);
    // The option: DCL's warm-up
    TrainerOptions plain = t;
    plain.own_warm_up = false;
    MethodSetup other(plain, make, 0);
    const Ref<Branch<float>> same = make(0);
    const Batch<float> batch =
        make_batch<float>(*data.train, other.trainer.sampler(data.lengths).crops(0));
    const double cls =
        loss_cls(same->forward(batch.i3d, batch.valid).logits, batch.labels, batch.valid).item();
    CHECK(other.trainer.step(batch).cls == cls);
    CHECK(other.trainer.learning_rates(0).cbp == t.learning_rate);
  }
}

TEST_CASE("BaS-Net in F steps: background class, filter and regulariser, each by its option") {
  const Data data;
  TrainerOptions t = short_run();
  t.variant = Variant::only_f;
  t.warm_up_steps = 0;
  const auto report = [&](bool background, bool attention, bool keep) {
    TrainerOptions o = t;
    o.background_labels = background;
    o.teach_attention = attention;
    o.keep_regularisers = keep;
    MethodSetup setup(o, basnet, 0);
    return setup.step(data);
  };
  // What the parts are, by hand
  MethodSetup probe(t, basnet, 0);
  const Batch<float> batch = make_batch<float>(
      *data.train, probe.trainer.sampler(data.lengths, data.train->truth()).crops(0));
  const nn::Evaluating<float> evaluating{&probe.base.vlp};
  const Tensor<std::int32_t> h =
      pseudo_labels(sigmoid(probe.base.vlp.forward(batch.clip, batch.valid).logits), batch.labels,
                    batch.valid, t.pseudo);
  const BranchOutput<float> out = probe.method->forward(batch.i3d, batch.valid);
  const Tensor<std::int32_t> h_b = background_labels(h, batch.valid);
  const double kd = loss_kd(out.logits, h, batch.valid).item(),
               kd_b = loss_kd(out.background, h_b, batch.valid).item(),
               filter = attention_loss(out.attention, h_b).item(), norm = out.label_free.item();
  CHECK((kd > 0 && kd_b > 0 && filter > 0 && norm > 0));
  const StepReport none = report(false, false, false);
  CHECK(none.kd == doctest::Approx(kd).epsilon(1e-6));
  CHECK(report(true, false, false).kd == doctest::Approx(kd + kd_b).epsilon(1e-6));
  CHECK(report(true, false, false).total - none.total == doctest::Approx(kd_b).epsilon(1e-5));
  CHECK(report(false, true, false).total - none.total == doctest::Approx(filter).epsilon(1e-5));
  CHECK(report(false, false, true).total - none.total == doctest::Approx(norm).epsilon(1e-4));
  // "no L_kd background": what background teaches goes, of the background class too
  t.kd_background = false;
  const double front = loss_kd(out.logits, h, batch.valid, {.background = false}).item(),
               zero = loss_kd(out.background, h_b, batch.valid, {.foreground = false}).item();
  CHECK(report(true, false, false).kd == doctest::Approx(front + zero).epsilon(1e-6));
}

TEST_CASE("background_labels, attention_loss") {
  const Tensor<std::int32_t> h = from_vector<std::int32_t>(
      std::vector<std::int32_t>{1, 0, 0, 0, -1, 0, 1, -1, -1, -1}, {1, 5, 2});
  const Tensor<bool> valid = rivals::mask_of({4}, 5);
  const Tensor<std::int32_t> h_b = background_labels(h, valid);
  CHECK(h_b.to_vector() == std::vector<std::int32_t>{0, 1, -1, 0, -1});
  const Tensor<double> w =
      from_vector<double>(std::vector<double>{0.9, 0.2, 0.5, 0.6, 0.3}, {1, 5, 1});
  CHECK(attention_loss(w, h_b).item() ==
        doctest::Approx(-(std::log(0.9) + std::log(0.8) + std::log(0.6)) / 3).epsilon(1e-14));
  check::gradients(
      [&](const std::vector<Tensor<double>>& in) { return attention_loss(in[0], h_b); }, {w});
  CHECK(attention_loss(w, full<std::int32_t>({1, 5, 1}, -1)).item() == 0);
  CHECK_THROWS_WITH_AS(attention_loss(w, h), doctest::Contains("of one shape"), Error);
}

TEST_CASE("detect: a method's own inference beside DCL's") {
  const Data data;
  for (const auto& [name, make] : methods) {
    INFO(name);
    const Ref<Branch<float>> method = make(0.5);
    const nn::Evaluating<float> evaluating{method.get()};
    const InferenceOptions dcl, own{.own = true};
    const std::vector<InferenceOptions> ways{own, dcl, own};
    const auto nothing = [](std::size_t, std::size_t) {};
    const auto sets = detect<float>(method.get(), nullptr, *data.train,
                                    std::span<const InferenceOptions>(ways), nothing);
    REQUIRE(sets.size() == 3);
    std::size_t found = 0;
    for (std::size_t v = 0; v < data.train->size(); ++v) {
      CHECK(sets[0].videos[v].detections ==
            method->own_detections(data.train->i3d(v), conventional_seconds_per_row));
      found += sets[0].videos[v].detections.size();
    }
    CHECK(found > 0);
    CHECK(sets[0].videos == sets[2].videos);
    CHECK(sets[1].videos == detect<float>(method.get(), nullptr, *data.train, dcl, nothing).videos);
    const InferenceOptions fused{.fusion = Fusion::vlp, .own = true};
    CHECK_THROWS_WITH_AS(detect<float>(method.get(), nullptr, *data.train, fused, nothing),
                         doctest::Contains("of CBP alone, not of vlp"), Error);
  }
  const Setup setup(options());
  CHECK_THROWS_WITH_AS(detect<float>(&setup.cbp, nullptr, *data.train, {.own = true},
                                     [](std::size_t, std::size_t) {}),
                       doctest::Contains("no inference of its own"), Error);
  CHECK_THROWS_WITH_AS(setup.cbp.own_detections(data.train->i3d(0), 1),
                       doctest::Contains("no inference of its own"), Error);
  CHECK_THROWS_WITH_AS(setup.cbp.own_loss({}, {}, {}), doctest::Contains("no loss of its own"),
                       Error);
}
