/// What the trainer offers beside the paper's alternation: self-training, a longer first B phase,
/// labels from the annotation, parts of L_kd switched off.

#include "../ops/check.hpp"
#include "trainer_setup.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace trainer_setup;

namespace {

TrainerOptions strategy(Variant variant, PseudoLabelRule rule = PseudoLabelRule::thresholds) {
  TrainerOptions t = options();
  t.variant = variant;
  t.pseudo.rule = rule;
  return t;
}
bool same_state(const std::vector<nn::Named<float>>& a, const std::vector<nn::Named<float>>& b,
                const std::string& prefix) {
  std::size_t found = 0;
  bool same = true;
  for (const auto& x : a) {
    if (!x.name.starts_with(prefix)) continue;
    for (const auto& y : b) {
      if (y.name != x.name) continue;
      ++found;
      same = same && check::same(x.tensor.clone(), y.tensor.clone());
    }
  }
  return same && found > 0;
}

}  // namespace

TEST_CASE("trainer: phases of self-training, and of a first B phase with its own length") {
  TrainerOptions t = strategy(Variant::self_training);
  const auto names = [&] {
    std::string out;
    for (const Phase& p : training_phases(t))
      out += concat(p.name(), p.round, ":", p.begin, "-", p.end, " ");
    return out;
  };
  CHECK(names() == "warm-up0:0-4 self1:4-6 self2:6-8 ");
  t.first_b_steps = 5;
  CHECK(names() == "warm-up0:0-4 self1:4-6 self2:6-8 ");
  t.variant = Variant::both;
  CHECK(names() == "warm-up0:0-4 B1:4-9 F1:9-11 B2:11-14 F2:14-16 ");
  t.variant = Variant::only_b;
  CHECK(names() == "warm-up0:0-4 B1:4-9 B2:9-12 ");
  t.variant = Variant::only_f;
  CHECK(names() == "warm-up0:0-4 F1:4-6 F2:6-8 ");
  t.first_b_steps = -1;
  CHECK_THROWS_WITH_AS(names(), doctest::Contains("must not be negative"), Error);
}

TEST_CASE("trainer: self-training is an F phase whose teacher is CBP as the phase found it") {
  const Data data;
  TrainerOptions t = strategy(Variant::self_training);
  t.f_steps = 4;  // so that videos come again, and labels of a moved CBP would differ
  t.rounds = 1;
  t.warm_up_steps = 6;
  const Sampler sampler(data.lengths, 3, 30, Generator(9));
  const auto batch = [&](const Trainer<float>& trainer) {
    return make_batch<float>(*data.train, sampler.crops(trainer.steps()));
  };
  Setup self(t);
  Trainer<float> alone(t, &self.cbp, nullptr);  // VLP need not be there
  while (alone.steps() < 6) alone.step(batch(alone));
  std::vector<nn::Named<float>> warm = alone.state();
  for (auto& named : warm) named.tensor = named.tensor.clone();

  // The same as an F phase with the warm CBP in VLP's place, which sees the same rows.
  TrainerOptions f = t;
  f.variant = Variant::only_f;
  Setup student(f), teacher(f);
  for (Setup* setup : {&student, &teacher}) {
    std::vector<nn::Named<float>> cbp;
    for (const auto& named : warm) {
      if (named.name.starts_with("cbp.")) cbp.push_back({named.name.substr(4), named.tensor});
    }
    setup->cbp.load_state_dict(cbp);
  }
  Trainer<float> taught(f, student.cbp, teacher.cbp);
  std::vector<nn::Named<float>> start = warm;
  for (const auto& named : taught.state()) {
    if (named.name.starts_with("vlp.") || named.name.starts_with("optimizer.vlp."))
      start.push_back({named.name, named.tensor.clone()});
  }
  taught.load(start, alone.counters());
  while (!alone.finished()) {
    const Batch<float> rows = batch(alone);
    alone.step(rows);
    Batch<float> twice = rows;
    twice.clip = twice.i3d;
    taught.step(twice);
  }
  CHECK(same_state(alone.state(), taught.state(), "cbp."));
  CHECK_FALSE(same_state(alone.state(), warm, "cbp.head"));
}

TEST_CASE("trainer: self-training, resumed after any step and on two threads, the same bits") {
  const Data data;
  for (const auto rule : {PseudoLabelRule::thresholds, PseudoLabelRule::calibrated}) {
    const TrainerOptions t = strategy(Variant::self_training, rule);
    const auto reference = run(data, -1, Precision::full, true, t);
    const auto equal = [&](const std::vector<Tensor<float>>& other) {
      bool all = other.size() == reference.size();
      for (std::size_t i = 0; all && i < other.size(); ++i)
        all = check::same(other[i], reference[i]);
      return all;
    };
    for (std::int64_t step = 3; step < 8; ++step) {
      INFO("interrupted at step ", step);
      CHECK(equal(run(data, step, Precision::full, true, t)));
    }
    const check::Threads scope(2);
    CHECK(equal(run(data, -1, Precision::full, true, t)));
  }
}

TEST_CASE("trainer: a state inside a self-training phase needs its teacher, another does not") {
  const Data data;
  const TrainerOptions t = strategy(Variant::self_training);
  const Sampler sampler(data.lengths, 3, 30, Generator(9));
  Setup setup(t);
  const auto without_teacher = [&] {
    auto state = setup.trainer.state();
    for (auto& named : state) named.tensor = named.tensor.clone();
    std::erase_if(state, [](const auto& named) { return named.name.starts_with("teacher."); });
    return state;
  };
  while (setup.trainer.steps() < 5)
    setup.trainer.step(make_batch<float>(*data.train, sampler.crops(setup.trainer.steps())));
  Setup other(t);
  CHECK_THROWS_WITH_AS(other.trainer.load(without_teacher(), setup.trainer.counters()),
                       doctest::Contains("inside a self-training phase"), Error);
  CHECK(other.trainer.steps() == 0);
  setup.trainer.step(make_batch<float>(*data.train, sampler.crops(5)));
  other.trainer.load(without_teacher(), setup.trainer.counters());
  CHECK(other.trainer.steps() == 6);
}

TEST_CASE("OracleLabels: the annotated rows, other classes 0, unknown classes and padding -1") {
  // Rows of a second: class 0 in rows 1 and 2, class 1 labelled but not annotated, class 2 neither.
  class Source final : public VideoSource {
   public:
    Source() {
      for (const char* name : {"a", "b", "c"}) truth_.add_class(name);
      truth_.videos.push_back({.id = "v", .subset = "train", .labels = {0, 1}});
      truth_.videos[0].instances.push_back({{1.2, 3.1}, 0});
    }
    const GroundTruth& truth() const override { return truth_; }
    Tensor<float> i3d(std::size_t) const override { return zeros<float>({4, 2}); }
    Tensor<float> clip(std::size_t) const override { return zeros<float>({4, 2}); }
    double seconds_per_row(std::size_t) const override { return 1; }
    GroundTruth truth_;
  };
  Source source;
  const OracleLabels labels(source);
  const auto h = [&](Crop crop, std::int64_t frames) { return labels({crop}, frames).to_vector(); };
  using H = std::vector<std::int32_t>;
  CHECK(h({0, 0, 4}, 5) == H{0, -1, 0, 1, -1, 0, 1, -1, 0, 0, -1, 0, -1, -1, -1});
  CHECK(h({0, 2, 2}, 2) == H{1, -1, 0, 0, -1, 0});
  CHECK_THROWS_WITH_AS(labels({{0, 0, 4}}, 3), doctest::Contains("does not fit"), Error);
  source.truth_.videos[0].instances.clear();
  CHECK_THROWS_WITH_AS(OracleLabels{source}, doctest::Contains("annotated segment"), Error);
}

TEST_CASE("trainer: oracle labels teach in place of the other branch") {
  const Data data;
  const TrainerOptions t = strategy(Variant::both, PseudoLabelRule::oracle);
  const Sampler sampler(data.lengths, 3, 30, Generator(9));
  // VLP of another start, so another teacher: CBP learns the same.
  const auto finish = [&](std::uint64_t seed) {
    Setup setup(t);
    Generator random(seed);
    for (const auto& named : setup.vlp.state_dict())
      named.tensor.copy_elements(randn<float>(named.tensor.shape(), random));
    while (!setup.trainer.finished()) {
      if (setup.trainer.needs_calibration()) setup.trainer.calibrate(*data.train);
      setup.trainer.step(make_batch<float>(*data.train, sampler.crops(setup.trainer.steps())));
    }
    auto state = setup.trainer.state();
    for (auto& named : state) named.tensor = named.tensor.clone();
    return state;
  };
  const auto first = finish(1), second = finish(2);
  CHECK(same_state(first, second, "cbp."));
  CHECK_FALSE(same_state(first, second, "vlp."));
  Setup without(t);
  while (without.trainer.steps() < 4)
    without.trainer.step(make_batch<float>(*data.train, sampler.crops(without.trainer.steps())));
  CHECK_THROWS_WITH_AS(without.trainer.step(make_batch<float>(*data.train, sampler.crops(4))),
                       doctest::Contains("calibrate()"), Error);
  const Tensor<float> p = full<float>({1, 3, 2}, 0.5F);
  CHECK_THROWS_WITH_AS(
      pseudo_labels(p, ones<float>({1, 2}), ones<bool>({1, 3}), {.rule = PseudoLabelRule::oracle}),
      doctest::Contains("annotations"), Error);
}

TEST_CASE("loss_kd: its foreground and its background add up to all of it, in the gradient too") {
  Generator random(4);
  const Tensor<double> logits = randn<double>({2, 6, 3}, random);
  Tensor<std::int32_t> h = zeros<std::int32_t>({2, 6, 3});
  for (std::int64_t i = 0; i < h.numel(); ++i)
    h.mutable_data()[i] = static_cast<std::int32_t>(random.next_below(3)) - 1;
  const Tensor<bool> valid = ones<bool>({2, 6});
  const auto of = [&](bool foreground, bool background) {
    Tensor<double> x = logits.clone();
    x.requires_grad_(true);
    const Tensor<double> loss =
        loss_kd(x, h, valid, {.foreground = foreground, .background = background});
    loss.backward();
    return std::pair(loss.item(), x.grad().clone());
  };
  const auto all = of(true, true), front = of(true, false), back = of(false, true),
             none = of(false, false);
  CHECK(front.first > 0);
  CHECK(back.first > 0);
  CHECK(std::fabs(front.first + back.first - all.first) < 1e-12);
  CHECK(check::distance(add(front.second, back.second), all.second) < 1e-12);
  CHECK(none.first == 0);
  CHECK(check::distance(none.second, zeros<double>(logits.shape())) == 0);
}
