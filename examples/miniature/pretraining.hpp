#pragma once
/// What the two pretraining programs share, whether they train on the rendered world or on trimmed
/// clips: the options, and the loop: Adam under a cosine, every step's batch drawn from the seed
/// and the number of the step, a checkpoint now and then from which a killed run goes on to the
/// same bits.

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../common_cli.hpp"
#include "clip_samples.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/io/checksum.hpp"
#include "tandem/io/json.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/optim/schedule.hpp"

namespace miniature {

using namespace tandem;

struct PretrainOptions {
  std::string out;
  std::uint64_t seed = 0;
  std::int64_t steps = 1000, batch = 32, test = 3000, threads = 0;
  double learning_rate = 2e-3;
  bool resume = false, check = false;
  /// A folder of trimmed clips in place of the rendered world, the number of its lists, its classes
  std::string clips, split = "01";
  std::vector<std::string> classes;
  io::Json data = {};  ///< what the clips are, once they are read: part of the recipe
};

inline void add_options(CLI::App& app, PretrainOptions& o) {
  app.add_option("--out", o.out, "Folder for the weights")->required();
  app.add_option("--seed", o.seed, "Everything random follows from it")->capture_default_str();
  app.add_option("--steps", o.steps, "Training steps")
      ->capture_default_str()
      ->check(cli::range(1, 1000000));
  app.add_option("--batch", o.batch, "Samples of a step")
      ->capture_default_str()
      ->check(cli::range(2, 4096));
  app.add_option("--test", o.test,
                 "Samples that the result is measured on, none of them trained on")
      ->capture_default_str()
      ->check(cli::range(1, 1000000));
  app.add_option("--learning-rate", o.learning_rate,
                 "Adam's, reached after a twentieth of the steps and falling to 0 as a cosine")
      ->capture_default_str()
      ->check(cli::range(0, 1));
  app.add_option("--threads", o.threads, "Threads; 0: all that the machine offers")
      ->capture_default_str()
      ->check(cli::range(0, cpu::max_threads));
  app.add_option(
      "--clips", o.clips,
      "Train on trimmed clips, not on a rendered world: a folder <Class>/<clip>.mp4, with "
      "trainlist01.txt "
      "and testlist01.txt, whose frames are held in memory (about 2 MB for a clip of 6 s)");
  app.add_option("--split", o.split, "Of --clips: trainlist<SPLIT>.txt and testlist<SPLIT>.txt")
      ->capture_default_str();
  app.add_option("--classes", o.classes,
                 "Of --clips: the classes, as CLASS,CLASS; all folders if not given")
      ->delimiter(',');
  app.add_flag("--resume", o.resume, "Go on from the checkpoint that a killed run left in --out");
  app.add_flag("--check", o.check, "Do not train: measure the weights that are in --out");
}

/// Streams of random numbers of a pretraining: no sample of one is a sample of another.
enum class Draw : std::uint64_t { start = 1, train = 2, test = 3, words = 4, dropout = 5 };
inline Generator draws(const PretrainOptions& o, Draw kind) {
  return Generator(o.seed, 0x9E70).split(static_cast<std::uint64_t>(kind));
}
/// Those of sample i of step `step`.
inline Generator of_sample(const PretrainOptions& o, std::int64_t step, std::int64_t i) {
  return draws(o, Draw::train).split(static_cast<std::uint64_t>(step * o.batch + i));
}

/// Everything that decides the weights, as text: a resumed run must have the same.
inline io::Json recipe(const PretrainOptions& o) {
  io::Json out = io::Json::object();
  out["seed"] = o.seed;
  out["steps"] = o.steps;
  out["batch"] = o.batch;
  out["learning_rate"] = o.learning_rate;
  if (!o.clips.empty()) out["data"] = o.data;
  return out;
}

/// The clips of --clips, for training and for testing.
struct ClipSets {
  std::vector<std::string> classes;
  ClipFrames train, test;
};
/// Reads them, those for training too unless the weights are only measured, and notes in `o` what
/// they are. Both are empty without --clips.
inline ClipSets read_clips(const char* program, PretrainOptions& o) {
  if (o.clips.empty()) {
    TANDEM_CHECK(o.classes.empty(), program, "--classes are those of --clips, which is not given");
    return {};
  }
  const TrimmedClips found = read_trimmed_clips(program, o.clips, o.split, o.classes);
  require_clips(program, found);
  TANDEM_CHECK(found.classes.size() > 1, program, "expected two classes at least, ", o.clips,
               " gives ", found.classes.size());
  ClipSets out{.classes = found.classes, .train = {}, .test = {}};
  const std::size_t count = found.classes.size();
  out.test = ClipFrames(program, found.test, count);
  if (o.check) return out;
  out.train = ClipFrames(program, found.train, count);
  std::string names;  // what is trained on, in one number
  for (const TrimmedClip& clip : found.train)
    names += concat(found.classes[static_cast<std::size_t>(clip.cls)], "/", clip.name, "\n");
  o.data = io::Json::object();
  o.data["classes"] = io::Json(io::Json::array_t(found.classes.begin(), found.classes.end()));
  o.data["split"] = o.split;
  o.data["training_clips"] = out.train.clips();
  o.data["training_frames"] = out.train.frames();
  o.data["names"] = io::hexadecimal(io::checksum(names));
  return out;
}

/// The checkpoint of a pretraining that is under way; whoever has written the weights removes it.
inline std::string pretraining_checkpoint(const PretrainOptions& o, const std::string& name) {
  return io::join_path(o.out, name + ".training.safetensors");
}
/// Trains `model` by `loss(step)`, from the checkpoint on with --resume. `name` names it in
/// messages.
inline void pretrain(const PretrainOptions& o, const std::string& name, nn::Module<float>& model,
                     const std::function<Tensor<float>(std::int64_t)>& loss) {
  constexpr std::int64_t every = 50;
  const std::string path = pretraining_checkpoint(o, name), options = io::json_text(recipe(o));
  optim::Adam<float> adam(model.named_parameters(), {.learning_rate = o.learning_rate});
  const optim::Schedule schedule{.kind = optim::Schedule::Kind::cosine,
                                 .warmup = std::max<std::int64_t>(o.steps / 20, 1),
                                 .total = o.steps + 1};
  std::int64_t step = 0;
  if (o.resume && io::is_file(path)) {
    const io::Checkpoint<float> saved = io::load_checkpoint<float>(path);
    TANDEM_CHECK(saved.options == options, name, path, " is of a run with ", saved.options,
                 ", this one has ", options);
    TANDEM_CHECK(saved.counters.size() == 1, name, path, " is no checkpoint of a pretraining");
    step = saved.counters[0];
    std::vector<nn::Named<float>> weights, state;
    for (const nn::Named<float>& t : saved.tensors) {
      if (t.name.starts_with("model."))
        weights.push_back({t.name.substr(6), t.tensor});
      else
        state.push_back(t);
    }
    model.load_state_dict(weights);
    adam.load_state(state);
  }
  const auto save = [&] {
    std::vector<nn::Named<float>> tensors = adam.state();
    for (const nn::Named<float>& t : model.state_dict())
      tensors.push_back({"model." + t.name, t.tensor});
    io::save_checkpoint<float>(path, {.tensors = tensors, .counters = {step}, .options = options});
  };
  model.train();
  const cli::StopSignals stop;
  cli::Progress progress(name, static_cast<std::size_t>(o.steps), static_cast<std::size_t>(step));
  double smooth = 0;
  try {
    while (step < o.steps) {
      stop.check();
      adam.set_learning_rate(o.learning_rate * schedule.factor(step));
      Generator dropout = draws(o, Draw::dropout).split(static_cast<std::uint64_t>(step));
      const nn::RandomScope scope(dropout);
      const Tensor<float> value = loss(step);
      adam.zero_grad();
      value.backward();
      adam.step();
      const auto now = static_cast<double>(value.item());
      TANDEM_CHECK(is_finite(now), name, "the loss of step ", step + 1,
                   " is not finite; a lower --learning-rate may help");
      smooth = smooth == 0 ? now : 0.95 * smooth + 0.05 * now;
      ++step;
      if (step % every == 0 || step == o.steps) save();
      progress.update(static_cast<std::size_t>(step), concat("loss ", cli::fixed(smooth, 3)));
    }
  } catch (const cli::Stopped& stopped) {
    save();
    throw cli::Stopped(stopped.signal(), concat("step ", step, " of ", o.steps, " is saved in ",
                                                path, "; the same command with --resume goes on"));
  }
  progress.finish();
  model.eval();
}

}  // namespace miniature
