/// dcl_demo — the paper's comparisons in two minutes, on simulated videos.
///
///   build/release/examples/dcl_demo
///
/// Trains DCL and its variants on a small simulated data set (no file is read or written), three seeds
/// each, and prints the mAP and, round by round, the quality of the pseudo-labels of both branches.

#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common_cli.hpp"
#include "tandem/wtal/evaluation.hpp"
#include "tandem/wtal/inference.hpp"
#include "tandem/wtal/simulate.hpp"
#include "tandem/wtal/trainer.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

struct Options {
  std::int64_t seeds = 3, width = 64, rounds = 2, warm_up = 300, b_steps = 150, f_steps = 150;
  std::int64_t train_videos = 100, test_videos = 60, i3d_width = 128, clip_width = 64;
  double learning_rate = 1e-3;
  bool softmax = true;
};

/// The class names as token ids of the small vocabulary, two words each.
std::vector<std::vector<std::int64_t>> class_tokens(std::int64_t classes) {
  std::vector<std::vector<std::int64_t>> names;
  for (std::int64_t c = 0; c < classes; ++c) names.push_back({2 + 2 * c, 3 + 2 * c});
  return names;
}

struct World {
  GroundTruth truth;
  Ref<clip::TextEncoder<float>> text;
  std::unique_ptr<SimulatedSource> train, test;
  SimulationOptions simulation;
};

VlpOptions vlp_options(const Options& o) {
  return {.width = o.clip_width, .layers = 2, .heads = 4, .table = 200};
}
typename PromptLearner<float>::Options prompt_options() {
  return {.vectors = 4, .start_token = 0, .end_token = 1};
}

/// The parts that a seed decides: the branches' initial values and the order of the videos. The videos
/// and the text encoder are the same for all seeds, as a real data set and real weights would be.
struct Run {
  Run(const Options& o, const World& world, const TrainerOptions& t)
      : random(t.seed + 1),
        cbp({.input = o.i3d_width,
             .classes = world.simulation.classes,
             .width = o.width,
             .layers = 2,
             .heads = 4,
             .positions = Positions::none,
             .table = 200},
            random),
        vlp(vlp_options(o), world.text, class_tokens(world.simulation.classes), prompt_options(),
            random),
        trainer(t, cbp, vlp) {}
  Generator random;
  CbpBranch<float> cbp;
  VlpBranch<float> vlp;
  Trainer<float> trainer;
};

World make_world(const Options& o) {
  World world;
  Generator random(7);
  SimulationOptions& s = world.simulation;
  s.train_videos = o.train_videos;
  s.test_videos = o.test_videos;
  s.i3d_width = o.i3d_width;
  s.clip_width = o.clip_width;
  world.text = make_ref<clip::TextEncoder<float>>(
      clip::TextEncoderOptions{.vocabulary = 2 + 2 * s.classes,
                               .context = 16,
                               .width = o.clip_width,
                               .layers = 2,
                               .heads = 4,
                               .output = o.clip_width},
      random);
  // What CLIP's image encoder would say of an action is what its text encoder says of the class.
  Generator prompt_random(3);
  const VlpBranch<float> probe(vlp_options(o), world.text, class_tokens(s.classes), prompt_options(),
                               prompt_random);
  const NoGrad no_grad;
  world.truth = simulate_annotations(s);
  const Simulator simulator(s, probe.text_features());
  world.train = std::make_unique<SimulatedSource>(world.truth, "train", simulator);
  world.test = std::make_unique<SimulatedSource>(world.truth, "test", simulator);
  return world;
}

struct Quality {
  double cbp_foreground = 0, cbp_background = 0, vlp_foreground = 0, vlp_background = 0;
};

struct Result {
  std::map<std::string, double> map;  ///< by fusion
  std::vector<Quality> rounds;        ///< after the warm-up, then after each round
};

double mean_ap(Run& run, const World& world, const TrainerOptions& t, Fusion fusion) {
  InferenceOptions inference;
  inference.fusion = fusion;
  inference.cbp_reading = t.cbp_reading;
  inference.vlp_reading = t.vlp_reading;
  run.cbp.eval();
  run.vlp.eval();
  run.vlp.begin_teaching();
  const DetectionSet detections =
      detect(run.cbp, run.vlp, *world.test, inference, [](std::size_t, std::size_t) {});
  run.cbp.train();
  run.vlp.train();
  run.trainer.interrupted();
  return 100 * evaluate(world.test->truth(), detections, {.protocol = Protocol::thumos_seconds})
                   .average("0.3:0.7");
}

Quality judge(Run& run, const World& world, const TrainerOptions& t) {
  run.vlp.begin_teaching();
  const auto i3d = [&](std::size_t v) { return world.train->i3d(v); };
  const auto clip = [&](std::size_t v) { return world.train->clip(v); };
  const PseudoLabelQuality c = judge_pseudo_labels(run.cbp, *world.train, i3d, t.cbp_reading),
                           v = judge_pseudo_labels(run.vlp, *world.train, clip, t.vlp_reading);
  run.trainer.interrupted();
  return {100 * c.foreground(), 100 * c.background(), 100 * v.foreground(), 100 * v.background()};
}

/// What a run was after its warm-up, which is the same for all variants of a seed and a reading.
struct WarmedUp {
  std::vector<nn::Named<float>> state;
  std::vector<std::int64_t> counters;
  Quality quality;
};

Result train(const Options& o, const World& world, const TrainerOptions& t, WarmedUp& warm,
             cli::Progress& progress, std::size_t& done) {
  Run run(o, world, t);
  std::vector<std::int64_t> lengths;
  for (std::size_t v = 0; v < world.train->size(); ++v) lengths.push_back(world.train->clip(v).size(0));
  const Sampler sampler(lengths, t.batch, t.crop, Generator(t.seed).split(5));
  Result result;
  if (t.variant == Variant::vanilla_vlp) result.rounds.push_back(judge(run, world, t));
  if (!warm.counters.empty() && t.variant != Variant::vanilla_vlp) {
    run.trainer.load(warm.state, warm.counters);
    result.rounds.push_back(warm.quality);
  }
  while (!run.trainer.finished()) {
    const Phase phase = run.trainer.current_phase();
    const StepReport report =
        run.trainer.step(make_batch<float>(*world.train, sampler.crops(run.trainer.steps())));
    progress.update(++done, concat(phase.name(), ", loss ", cli::fixed(report.total, 3)));
    const bool round_over = run.trainer.finished() || run.trainer.current_phase().round != phase.round;
    if (!round_over) continue;
    result.rounds.push_back(judge(run, world, t));
    if (phase.kind == Phase::Kind::warm_up) {
      warm = {run.trainer.state(), run.trainer.counters(), result.rounds.back()};
      for (nn::Named<float>& named : warm.state) named.tensor = named.tensor.clone();
    }
  }
  result.map["cbp"] = mean_ap(run, world, t, Fusion::cbp);
  result.map["vlp"] = mean_ap(run, world, t, Fusion::vlp);
  result.map["mean"] = mean_ap(run, world, t, Fusion::mean);
  return result;
}

/// "41.2 ± 0.8" of the seeds.
std::string spread(const std::vector<double>& values) {
  double mean = 0, square = 0;
  for (double v : values) mean += v / static_cast<double>(values.size());
  for (double v : values) square += (v - mean) * (v - mean);
  const double deviation =
      values.size() > 1 ? std::sqrt(square / static_cast<double>(values.size() - 1)) : 0;
  return cli::fixed(mean, 1) + " ± " + cli::fixed(deviation, 1);
}

void demo(const Options& o) {
  std::printf("DCL on SIMULATED videos: the numbers show how the parts work together, not how good they "
              "are on real video.\n\n");
  const World world = make_world(o);
  TrainerOptions base;
  base.batch = 10;
  base.crop = 120;
  base.learning_rate = o.learning_rate;
  base.warm_up_steps = o.warm_up;
  base.rounds = o.rounds;
  base.b_steps = o.b_steps;
  base.f_steps = o.f_steps;

  struct Row {
    const char* name;
    Variant variant;
    Reading reading;
  };
  std::vector<Row> rows{{"vanilla VLP (no training)", Variant::vanilla_vlp, Reading::sigmoid},
                        {"warm-up only (CBP)", Variant::warm_up, Reading::sigmoid},
                        {"only F", Variant::only_f, Reading::sigmoid},
                        {"only B", Variant::only_b, Reading::sigmoid},
                        {"both", Variant::both, Reading::sigmoid}};
  if (o.softmax) {
    rows.push_back({"warm-up only, softmax", Variant::warm_up, Reading::softmax});
    rows.push_back({"both, softmax", Variant::both, Reading::softmax});
  }
  std::size_t total = 0, done = 0;
  for (const Row& row : rows) {
    TrainerOptions t = base;
    t.variant = row.variant;
    const std::vector<Phase> phases = training_phases(t);
    if (phases.empty()) continue;
    const std::int64_t warm_up = row.variant == Variant::warm_up ? 0 : o.warm_up;  // done once
    total += static_cast<std::size_t>((phases.back().end - warm_up) * o.seeds);
  }
  cli::Progress progress("training", total);
  cli::Table table({"mAP@0.3:0.7 in %, " + std::to_string(o.seeds) + " seeds", "CBP", "VLP", "fused (mean)"});
  std::vector<Result> both;
  std::map<std::pair<Reading, std::int64_t>, WarmedUp> warmed_up;
  for (const Row& row : rows) {
    std::map<std::string, std::vector<double>> values;
    for (std::int64_t seed = 0; seed < o.seeds; ++seed) {
      TrainerOptions t = base;
      t.variant = row.variant;
      t.cbp_reading = t.vlp_reading = row.reading;
      t.seed = static_cast<std::uint64_t>(seed);
      const Result result = train(o, world, t, warmed_up[{row.reading, seed}], progress, done);
      for (const auto& [name, value] : result.map) values[name].push_back(value);
      if (row.variant == Variant::both && row.reading == Reading::sigmoid) both.push_back(result);
    }
    table.row({row.name, row.variant == Variant::vanilla_vlp ? "-" : spread(values["cbp"]),
               spread(values["vlp"]),
               row.variant == Variant::vanilla_vlp ? "-" : spread(values["mean"])});
  }
  progress.finish();
  table.print();

  std::printf("\nPseudo-labels of 'both' on the training videos, IoU in %% (foreground, background):\n");
  cli::Table quality({"after", "CBP fg", "CBP bg", "VLP fg", "VLP bg"});
  for (std::size_t round = 0; round < both[0].rounds.size(); ++round) {
    std::vector<std::vector<double>> columns(4);
    for (const Result& result : both) {
      const Quality& q = result.rounds[round];
      columns[0].push_back(q.cbp_foreground);
      columns[1].push_back(q.cbp_background);
      columns[2].push_back(q.vlp_foreground);
      columns[3].push_back(q.vlp_background);
    }
    quality.row({round == 0 ? "warm-up" : "round " + std::to_string(round), spread(columns[0]),
                 spread(columns[1]), spread(columns[2]), spread(columns[3])});
  }
  quality.print();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "The paper's comparisons on a small simulated data set: warm-up only, only F, only B, both, and\n"
      "the softmax reading, mean of several seeds. Nothing is read or written.",
      "dcl_demo");
  Options o;
  app.add_option("--seeds", o.seeds, "Runs of each variant")->capture_default_str()->check(CLI::Range(1, 100));
  app.add_option("--rounds", o.rounds, "Rounds of a B and an F phase")->capture_default_str();
  app.add_option("--warm-up-steps", o.warm_up, "Steps of the CBP warm-up")->capture_default_str();
  app.add_option("--b-steps", o.b_steps, "Steps of a B phase")->capture_default_str();
  app.add_option("--f-steps", o.f_steps, "Steps of an F phase")->capture_default_str();
  app.add_option("--learning-rate", o.learning_rate, "Adam's rate (the paper's 1e-4 is for 100 times "
                 "as many steps)")->capture_default_str();
  app.add_flag("!--no-softmax", o.softmax, "Leave out the softmax readings");
  cli::add_config(app);
  return cli::run(app, argc, argv, [&] { demo(o); });
}
