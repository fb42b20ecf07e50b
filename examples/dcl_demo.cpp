/// dcl_demo — the paper's comparisons in two minutes, on simulated videos.
///
///   build/release/examples/dcl_demo
///   build/release/examples/dcl_demo --rounds 4 --ablations
///
/// Trains DCL and its variants on a small simulated data set (no file is read or written), three
/// seeds each, and prints the mAP and, round by round, the quality of the pseudo-labels of both
/// branches.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common_cli.hpp"
#include "reproduce/measure.hpp"
#include "reproduce/statistics.hpp"
#include "simulation_options.hpp"
#include "step_memory.hpp"
#include "tandem/wtal/data/simulate.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

/// Narrow rows, so that a run takes seconds.
SimulationOptions demo_simulation() { return {.i3d_width = 128, .clip_width = 64}; }
/// docs/simulation.md says how these were found.
TrainerOptions demo_training() {
  return {.batch = 10,
          .warm_up_steps = 150,
          .rounds = 2,
          .b_steps = 300,
          .f_steps = 50,
          .learning_rate = 1e-3};
}

struct Options {
  SimulationOptions simulation = demo_simulation();
  TrainerOptions train = demo_training();
  std::int64_t seeds = 3, width = 64, layers = 2;
  bool no_softmax = false, ablations = false;
  std::string precision = "float";

  Precision products() const { return precision == "bf16" ? Precision::bfloat16 : Precision::full; }
};

/// The class names as token ids of the small vocabulary, two words each.
std::vector<std::vector<std::int64_t>> class_tokens(std::int64_t classes) {
  std::vector<std::vector<std::int64_t>> names;
  for (std::int64_t c = 0; c < classes; ++c) names.push_back({2 + 2 * c, 3 + 2 * c});
  return names;
}
VlpOptions vlp_options(const Options& o, Precision precision) {
  return {.width = o.simulation.clip_width,
          .layers = 2,
          .heads = 4,
          .table = o.simulation.rows_high,
          .precision = precision};
}
typename PromptLearner<float>::Options prompt_options() {
  return {.vectors = 4, .start_token = 0, .end_token = 1};
}

/// What does not depend on a run's seed: the videos and the text encoder, as a real data set and
/// real weights would not.
struct World {
  explicit World(const Options& o) {
    Generator random(7);
    const std::int64_t classes = o.simulation.classes, width = o.simulation.clip_width;
    text =
        make_ref<clip::TextEncoder<float>>(clip::TextEncoderOptions{.vocabulary = 2 + 2 * classes,
                                                                    .context = 16,
                                                                    .width = width,
                                                                    .layers = 2,
                                                                    .heads = 4,
                                                                    .output = width},
                                           random);
    // What CLIP's image encoder would say of an action is what its text encoder says of the class.
    Generator prompt_random(3);
    const VlpBranch<float> probe(vlp_options(o, Precision::full), text, class_tokens(classes),
                                 prompt_options(), prompt_random);
    const NoGrad no_grad;
    const GroundTruth truth = simulate_annotations(o.simulation);
    const Simulator simulator(o.simulation, probe.text_features());
    train = std::make_unique<SimulatedSource>(truth, "train", simulator);
    test = std::make_unique<SimulatedSource>(truth, "test", simulator);
    for (std::size_t v = 0; v < train->size(); ++v) lengths.push_back(train->clip(v).size(0));
  }
  Ref<clip::TextEncoder<float>> text;
  std::unique_ptr<SimulatedSource> train, test;
  std::vector<std::int64_t> lengths;  ///< of the training videos
};

/// One line of the table.
struct Row {
  std::string name;
  Variant variant = Variant::both;
  bool contrast = true, kd_background = true;
  PseudoLabelRule rule = PseudoLabelRule::thresholds;
};

using reproduce::Measurement;

/// The rows that share a seed, a reading and CBP's input also share their warm-up, which is trained
/// once.
struct Chain {
  Reading reading = Reading::sigmoid;
  bool concat_clip = false;
  std::uint64_t seed = 0;
  std::vector<Row> rows = {};
  /// Per row: after the warm-up, then after each round
  std::vector<std::vector<Measurement>> results = {};
};

TrainerOptions trainer_options(const Options& o, const Chain& chain, const Row& row) {
  TrainerOptions t = o.train;
  t.variant = row.variant;
  // Whole videos, as the paper's T is longer than most of THUMOS14
  t.crop = o.simulation.rows_high;
  t.cbp_reading = t.vlp_reading = chain.reading;
  t.seed = chain.seed;
  if (!row.contrast) t.lambda = 0;
  t.kd_background = row.kd_background;
  t.pseudo.rule = row.rule;
  return t;
}

/// The branches of a run. Their initial values follow from the seed.
struct Branches {
  Branches(const Options& o, const World& world, const Chain& chain)
      : random(chain.seed + 1),
        cbp({.input = o.simulation.i3d_width + (chain.concat_clip ? o.simulation.clip_width : 0),
             .classes = o.simulation.classes,
             .width = o.width,
             .layers = o.layers,
             .heads = 4,
             .precision = o.products()},
            random),
        vlp(vlp_options(o, o.products()), world.text, class_tokens(o.simulation.classes),
            prompt_options(), random) {}
  Generator random;
  CbpBranch<float> cbp;
  VlpBranch<float> vlp;
};

/// mAP of CBP, VLP and their mean on the test videos, and the quality of the pseudo-labels that
/// both give for the training videos.
Measurement judge(Branches& branches, const VideoSource& train, const VideoSource& test,
                  const Trainer<float>& trainer) {
  const TrainerOptions& t = trainer.options();
  std::vector<InferenceOptions> ways;
  for (const Fusion fusion : {Fusion::cbp, Fusion::vlp, Fusion::mean}) {
    ways.push_back({.fusion = fusion, .cbp_reading = t.cbp_reading, .vlp_reading = t.vlp_reading});
  }
  return reproduce::measure(
      &branches.cbp, &branches.vlp, train, test,
      {.train = t, .ways = ways, .evaluation = {.protocol = Protocol::thumos_seconds}},
      trainer.calibration(), [] {});
}

/// A run after its warm-up.
struct WarmedUp {
  std::vector<nn::Named<float>> state;
  std::vector<std::int64_t> counters;
  Measurement quality;
};

/// Trains all rows of a chain. `tick(note)` is called after every step.
template <class Tick>
void run(const Options& o, const World& world, Chain& chain, Tick&& tick) {
  const ConcatSource train(*world.train, chain.concat_clip), test(*world.test, chain.concat_clip);
  std::optional<WarmedUp> warm;
  for (const Row& row : chain.rows) {
    const TrainerOptions t = trainer_options(o, chain, row);
    Branches branches(o, world, chain);
    Trainer<float> trainer(t, branches.cbp, branches.vlp);
    std::vector<Measurement> rounds;
    if (row.variant == Variant::vanilla_vlp) {
      rounds.push_back(judge(branches, train, test, trainer));
    } else if (warm) {
      trainer.load(warm->state, warm->counters);
      rounds.push_back(warm->quality);
    }
    reproduce::finish_training(
        trainer, train, world.lengths, 0,
        [&](std::int64_t, const Phase& phase, const StepReport& report) {
          tick(concat(row.name, ", ", phase.name(), ", loss ", cli::fixed(report.total, 3)));
        },
        [&](std::int64_t round) {
          rounds.push_back(judge(branches, train, test, trainer));
          if (round > 0) return;
          warm = {
              .state = trainer.state(), .counters = trainer.counters(), .quality = rounds.back()};
          for (nn::Named<float>& named : warm->state) named.tensor = named.tensor.clone();
        });
    chain.results.push_back(std::move(rounds));
  }
}

/// "41.2 ± 0.8" of the seeds: mean and standard deviation.
std::string spread(const std::vector<double>& values) {
  return cli::fixed(reproduce::estimate(values).mean, 1) + " ± " +
         cli::fixed(reproduce::standard_deviation(values), 1);
}

/// A group of rows, one chain per seed.
struct Group {
  Reading reading = Reading::sigmoid;
  bool concat_clip = false;
  std::vector<Row> rows = {};
};

std::vector<Group> groups(const Options& o) {
  std::vector<Group> out;
  out.push_back({.rows = {{"vanilla VLP (no training)", Variant::vanilla_vlp},
                          {"warm-up only (CBP)", Variant::warm_up},
                          {"only F", Variant::only_f},
                          {"only B", Variant::only_b},
                          {"both", Variant::both}}});
  if (o.ablations) {
    out[0].rows.push_back({.name = "both, no L_fb", .contrast = false});
    out[0].rows.push_back({.name = "both, no L_kd background", .kd_background = false});
    out[0].rows.push_back({.name = "both, calibrated", .rule = PseudoLabelRule::calibrated});
    out[0].rows.push_back({.name = "both, ranked", .rule = PseudoLabelRule::ranked});
    out[0].rows.push_back({.name = "both, min-max", .rule = PseudoLabelRule::min_max});
    out.push_back({.concat_clip = true,
                   .rows = {{"warm-up only, I3D and CLIP concatenated", Variant::warm_up},
                            {"both, I3D and CLIP concatenated", Variant::both}}});
  }
  if (!o.no_softmax) {
    out.push_back({.reading = Reading::softmax,
                   .rows = {{"vanilla VLP, softmax", Variant::vanilla_vlp},
                            {"warm-up only, softmax", Variant::warm_up},
                            {"both, softmax", Variant::both}}});
  }
  return out;
}

/// The steps that a chain will make.
std::size_t steps(const Options& o, const Chain& chain) {
  std::int64_t total = 0;
  bool warm = false;
  for (const Row& row : chain.rows) {
    const std::vector<Phase> phases = training_phases(trainer_options(o, chain, row));
    if (phases.empty()) continue;
    total += phases.back().end - (warm ? o.train.warm_up_steps : 0);
    warm = true;
  }
  return static_cast<std::size_t>(total);
}

/// Mean and spread over a group's chains of one value of row `row` after round `round`.
template <class Value>
std::string cell(const std::vector<Chain>& chains, std::size_t row, std::size_t round,
                 Value&& value) {
  std::vector<double> values;
  for (const Chain& chain : chains) values.push_back(100 * value(chain.results[row][round]));
  return spread(values);
}
auto map_of(const char* fusion) {
  return [fusion](const Measurement& m) { return m.find(fusion)->main(); };
}

void print_rounds(const std::vector<Chain>& chains, std::size_t row) {
  std::printf(
      "\nRound by round, '%s': IoU of the pseudo-labels of the training videos (foreground, "
      "background) "
      "and\nmAP@0.3:0.7 on the test videos, in %%:\n",
      chains[0].rows[row].name.c_str());
  cli::Table table(
      {"after", "CBP fg", "CBP bg", "VLP fg", "VLP bg", "mAP CBP", "mAP VLP", "mAP fused"});
  for (std::size_t round = 0; round < chains[0].results[row].size(); ++round) {
    std::vector<std::string> cells{round == 0 ? "warm-up" : "round " + std::to_string(round)};
    for (const auto branch : {&Measurement::cbp, &Measurement::vlp}) {
      for (const auto side :
           {&reproduce::LabelQuality::foreground, &reproduce::LabelQuality::background}) {
        cells.push_back(cell(chains, row, round, [=](const Measurement& m) {
          return (*(m.*branch)).thresholds.*side;
        }));
      }
    }
    for (const char* fusion : {"cbp", "vlp", "mean"})
      cells.push_back(cell(chains, row, round, map_of(fusion)));
    table.row(cells);
  }
  table.print();
}

/// Refuses sizes that do not go together, and steps that this machine cannot hold.
void check(const Options& o) {
  TANDEM_CHECK(o.width % 4 == 0, "dcl_demo", "--width must be a multiple of 4, it is ", o.width);
  TANDEM_CHECK(o.simulation.clip_width % 4 == 0, "dcl_demo",
               "--clip-width must be a multiple of 4, it is ", o.simulation.clip_width);
}
void check_memory(const Options& o, const std::vector<std::int64_t>& lengths) {
  const SimulationOptions& s = o.simulation;
  if (lengths.empty()) return;
  const cli::StudentSize cbp{
      .input = s.i3d_width, .classes = s.classes, .width = o.width, .layers = o.layers};
  const cli::StudentSize vlp{
      .classes = s.classes, .width = s.clip_width, .layers = 2, .all_frames = false};
  cli::check_step_memory("dcl_demo",
                         {.videos = o.train.batch,
                          .rows = *std::max_element(lengths.begin(), lengths.end()),
                          .columns = s.i3d_width + s.clip_width,
                          .cbp = cbp,
                          .vlp = vlp},
                         cli::memory_limit(),
                         {.frames = "--batch or --rows-high", .texts = "--classes"});
}

void demo(const Options& o) {
  check(o);
  std::printf(
      "DCL on SIMULATED videos: the numbers show how the parts work together, not how good they "
      "are on real video.\n\n");
  const World world(o);
  check_memory(o, world.lengths);
  std::vector<std::vector<Chain>> all;
  for (const Group& group : groups(o)) {
    std::vector<Chain>& chains = all.emplace_back();
    for (std::int64_t seed = 0; seed < o.seeds; ++seed) {
      chains.push_back({.reading = group.reading,
                        .concat_clip = group.concat_clip,
                        .seed = static_cast<std::uint64_t>(seed),
                        .rows = group.rows});
    }
  }
  // Chains are independent and small: one per thread is faster than many threads in each operation.
  std::vector<Chain*> queue;
  std::size_t total = 0, done = 0;
  for (std::vector<Chain>& chains : all) {
    for (Chain& chain : chains) {
      queue.push_back(&chain);
      total += steps(o, chain);
    }
  }
  std::stable_sort(queue.begin(), queue.end(),
                   [&](const Chain* a, const Chain* b) { return steps(o, *a) > steps(o, *b); });
  const auto workers = std::min(static_cast<std::size_t>(cpu::num_threads()), queue.size());
  cpu::set_num_threads(1);
  cli::Progress progress("training", total);
  std::mutex mutex;
  std::atomic<std::size_t> next = 0;
  std::vector<std::future<void>> threads;
  for (std::size_t i = 0; i < workers; ++i) {
    threads.push_back(std::async(std::launch::async, [&] {
      for (std::size_t job = next++; job < queue.size(); job = next++) {
        run(o, world, *queue[job], [&](const std::string& note) {
          const std::scoped_lock lock(mutex);
          progress.update(++done, note);
        });
      }
    }));
  }
  for (std::future<void>& thread : threads) thread.get();
  progress.finish();

  cli::Table table(
      {"mAP@0.3:0.7 in %, " + std::to_string(o.seeds) + " seeds", "CBP", "VLP", "fused (mean)"});
  for (const std::vector<Chain>& chains : all) {
    for (std::size_t row = 0; row < chains[0].rows.size(); ++row) {
      const std::size_t last = chains[0].results[row].size() - 1;
      const bool untrained = chains[0].rows[row].variant == Variant::vanilla_vlp;
      table.row({chains[0].rows[row].name, untrained ? "-" : cell(chains, row, last, map_of("cbp")),
                 cell(chains, row, last, map_of("vlp")),
                 untrained ? "-" : cell(chains, row, last, map_of("mean"))});
    }
  }
  table.print();
  for (const std::vector<Chain>& chains : all) {
    for (std::size_t row = 0; row < chains[0].rows.size(); ++row) {
      if (chains[0].rows[row].variant == Variant::both) print_rounds(chains, row);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "The paper's comparisons on a small simulated data set: warm-up only, only F, only B, both, "
      "and\n"
      "the softmax reading, mean of several seeds. Nothing is read or written.",
      "dcl_demo");
  Options o;
  app.add_option("--seeds", o.seeds, "Runs of each variant")
      ->capture_default_str()
      ->check(cli::range(1, 100));
  app.add_flag("--no-softmax", o.no_softmax, "Leave out the softmax readings");
  app.add_flag("--ablations", o.ablations,
               "Also without L_fb, without the background in L_kd, with pseudo-labels by other "
               "rules, and with "
               "CLIP rows beside the I3D rows");
  const auto training = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->group("Training")->capture_default_str();
  };
  training("--rounds", o.train.rounds, "Rounds of a B and an F phase")->check(cli::range(0, 1000));
  training("--warm-up-steps", o.train.warm_up_steps, "Steps of the CBP warm-up")
      ->check(cli::range(1, 1e6));
  training("--b-steps", o.train.b_steps, "Steps of a B phase")->check(cli::range(0, 1e6));
  training("--f-steps", o.train.f_steps, "Steps of an F phase")->check(cli::range(0, 1e6));
  training("--learning-rate", o.train.learning_rate, "Adam's rate (the paper's is 1e-4)")
      ->check(cli::range(0, 1e6));
  training("--batch", o.train.batch, "Videos per step")->check(cli::range(1, 1e6));
  training("--lambda", o.train.lambda, "Weight of L_fb")->check(cli::range(0, 1e6));
  training("--topk-divisor", o.train.topk_divisor, "Video scores: mean of the top T/divisor frames")
      ->check(cli::range(1, 1e9));
  training("--width", o.width, "CBP: width of the frame features, a multiple of 4")
      ->check(cli::range(4, 65536));
  training("--layers", o.layers, "CBP: transformer blocks")->check(cli::range(0, 1000));
  cli::add_choice(app, "--precision", o.precision, {"float", "bf16"},
                  "Products of linear layers and attention")
      ->group("Training")
      ->capture_default_str();
  cli::add_simulation_options(app, o.simulation);
  cli::add_config(app);
  return cli::run(app, argc, argv, [&] { demo(o); });
}
