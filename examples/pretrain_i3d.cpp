/// pretrain_i3d — trains the miniature's I3D networks from scratch, by classification.
///
///   pretrain_i3d --out weights/mini
///
/// Both streams, RGB and TV-L1 flow, are InceptionI3d at an eighth of its widths, on clips of 8
/// frames of 64 × 64 pixels: a person handles one of ten objects in one of eight ways, thirty pairs
/// in all, of which twelve are the classes of the world that render_world renders. Clips are drawn
/// anew in every step. Writes i3d_rgb.safetensors and i3d_flow.safetensors into --out, with what
/// they were made of and what they reach in their headers, and prints the accuracy on clips that
/// were not trained on.
///
///   pretrain_i3d --out weights --clips ucf101
///
/// does the same on trimmed clips of real videos: which of the classes a window of 8 frames is
/// from.

#include <array>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "miniature/pretraining.hpp"
#include "miniature/samples.hpp"
#include "output_folder.hpp"
#include "tandem/i3d/load.hpp"
#include "tandem/ops/argmax.hpp"
#include "tandem/ops/cross_entropy.hpp"
#include "tandem/ops/softmax.hpp"

namespace {

using namespace tandem;
using namespace miniature;

/// How clips are prepared: they have the size of the network already.
i3d::PreprocessOptions preparation() { return {.size = side, .crop = side, .bound = flow_bound}; }

/// A clip and the frame after it.
struct Sample {
  Tensor<std::uint8_t> frames;  ///< (9, 64, 64, 3)
  std::int64_t label = 0;
  Stage stage = Stage::core;
};

/// Where the clips come from: `draw` makes one of random numbers, for training or for testing.
struct Source {
  std::vector<std::string> classes;
  std::string about;
  bool stages = false;  ///< a clip shows a certain part of an action
  std::function<Sample(const Generator&, bool)> draw;
};

/// The rendered world; half of the clips for training are mirrored.
Source rendered() {
  Source out{.classes = {},
             .about = "miniature world, 30 pairs of motion and object; chance 0.033",
             .stages = true,
             .draw = [](const Generator& random, bool training) {
               const Moment moment = draw_clip(random.split(0));
               Tensor<std::uint8_t> frames = render_clip(moment);
               if (training && random.split(1).next_double() < 0.5) frames = mirrored(frames);
               return Sample{frames, moment.pair, moment.stage};
             }};
  for (int k = 0; k < pairs; ++k) out.classes.push_back(pair(k).name());
  return out;
}

/// Windows of trimmed clips; `sets` must outlive it.
Source trimmed(const ClipSets& sets) {
  return {.classes = sets.classes,
          .about = concat("windows of trimmed clips, ", sets.classes.size(),
                          " classes equally often; chance ",
                          cli::fixed(1 / static_cast<double>(sets.classes.size()), 3)),
          .stages = false,
          .draw = [&sets](const Generator& random, bool training) {
            const ClipFrames::Window window =
                (training ? sets.train : sets.test).draw(random, frames_per_row + 1, training);
            return Sample{window.frames, window.cls, Stage::core};
          }};
}

struct Clips {
  Tensor<float> rgb, flow;      ///< (N, 3, 8, 64, 64), (N, 2, 8, 64, 64), those that are wanted
  Tensor<std::int64_t> labels;  ///< (N)
  std::vector<Stage> stages;
};

/// `count` clips, the n-th of them from the random numbers `of(n)`.
template <class Random>
Clips make_clips(const Source& source, std::int64_t count, bool rgb, bool flow, bool training,
                 const Random& of) {
  std::vector<Tensor<float>> colours(static_cast<std::size_t>(count)),
      motions(static_cast<std::size_t>(count));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
  Clips out;
  out.stages.resize(static_cast<std::size_t>(count));
  cpu::parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const auto i = static_cast<std::size_t>(n);
      const Sample sample = source.draw(of(n), training);
      labels[i] = sample.label;
      out.stages[i] = sample.stage;
      if (rgb)
        colours[i] = i3d::preprocess_rgb(sample.frames.slice(0, 0, frames_per_row).contiguous(),
                                         preparation());
      if (flow) motions[i] = i3d::preprocess_flow(flow_of(sample.frames), preparation());
    }
  });
  if (rgb) out.rgb = stack(colours, 0);
  if (flow) out.flow = stack(motions, 0);
  out.labels = from_vector<std::int64_t>(labels);
  return out;
}

/// Right answers of some clips, by stage and by class.
struct Accuracy {
  std::int64_t right = 0, all = 0, core_right = 0, core = 0;
  std::vector<std::int64_t> right_of, all_of;  ///< by class
  void add(const Tensor<float>& scores, const Clips& clips) {
    const Tensor<std::int64_t> best = argmax(scores, 1);
    right_of.resize(static_cast<std::size_t>(scores.size(1)));
    all_of.resize(right_of.size());
    for (std::int64_t n = 0; n < scores.size(0); ++n) {
      const bool hit = best.data()[n] == clips.labels.data()[n],
                 in_core = clips.stages[static_cast<std::size_t>(n)] == Stage::core;
      const auto cls = static_cast<std::size_t>(clips.labels.data()[n]);
      ++all, right += hit;
      ++all_of[cls], right_of[cls] += hit;
      core += in_core, core_right += in_core && hit;
    }
  }
  static double share(std::int64_t part, std::int64_t of) {
    return of == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(of);
  }
  double total() const { return share(right, all); }
  double in_core() const { return share(core_right, core); }
  double around() const { return share(right - core_right, all - core); }
  io::Json json(const Source& source) const {
    io::Json out = io::Json::object();
    out["top_1"] = total();
    if (source.stages) {
      out["core"] = in_core();
      out["approach_and_recovery"] = around();
      return out;
    }
    io::Json by_class = io::Json::object();
    for (std::size_t c = 0; c < all_of.size(); ++c)
      by_class[source.classes[c]] = share(right_of[c], all_of[c]);
    out["by_class"] = std::move(by_class);
    return out;
  }
};

Ref<i3d::InceptionI3d<float>> train_stream(const PretrainOptions& o, const Source& source,
                                           bool rgb) {
  Generator random = draws(o, Draw::start).split(rgb ? 1 : 2);
  const i3d::Config config =
      i3d::Config{.channels = rgb ? 3 : 2,
                  .classes = static_cast<std::int64_t>(source.classes.size()),
                  .window = {1, 2, 2},
                  .dropout = 0.3}
          .narrowed(8);
  const auto model = make_ref<i3d::InceptionI3d<float>>(config, random);
  pretrain(o, rgb ? "i3d_rgb" : "i3d_flow", *model, [&](std::int64_t step) {
    const Clips clips = make_clips(source, o.batch, rgb, !rgb, true,
                                   [&](std::int64_t i) { return of_sample(o, step, i); });
    return cross_entropy(model->forward(rgb ? clips.rgb : clips.flow), clips.labels);
  });
  return model;
}

std::string weights_path(const PretrainOptions& o, bool rgb) {
  return io::join_path(o.out, rgb ? "i3d_rgb.safetensors" : "i3d_flow.safetensors");
}

void write(const PretrainOptions& o, const Source& source, const i3d::InceptionI3d<float>& model,
           bool rgb, const Accuracy& alone, const Accuracy& both) {
  io::Json training = recipe(o);
  training["clips"] = source.about;
  training["test_clips"] = alone.all;
  training["alone"] = alone.json(source);
  training["both_streams"] = both.json(source);
  const std::string name = rgb ? "i3d_rgb" : "i3d_flow";
  io::Metadata header{
      {"format", "tandem i3d 1"},    {"stream", rgb ? "rgb" : "flow"},
      {"source", "pretrain_i3d"},    {"window", "[1, 2, 2]"},
      {"short_side", concat(side)},  {"crop", concat(side)},
      {"interpolation", "bilinear"}, {"training", io::json_text(training)},
  };
  if (!rgb) header["flow_bound"] = concat(flow_bound);
  io::save_safetensors(weights_path(o, rgb), model.state_dict(), header);
  std::error_code ignored;
  std::filesystem::remove(pretraining_checkpoint(o, name), ignored);
}

/// Right answers of RGB, of flow, and of both together.
using Accuracies = std::array<Accuracy, 3>;

void print(const PretrainOptions& o, const Source& source, const Accuracies& of) {
  const char* const names[] = {"RGB", "flow", "both"};
  std::vector<std::string> header{concat("top-1 of ", source.classes.size(), ", %"), "all clips"};
  if (source.stages) header.insert(header.end(), {"core", "approach and recovery"});
  cli::Table table(header);
  for (std::size_t s = 0; s < of.size(); ++s) {
    std::vector<std::string> row{names[s], cli::percent(of[s].total(), 1)};
    if (source.stages) {
      row.push_back(cli::percent(of[s].in_core(), 1));
      row.push_back(cli::percent(of[s].around(), 1));
    }
    table.row(row);
  }
  std::vector<std::string> chance(header.size(),
                                  cli::percent(1 / static_cast<double>(source.classes.size()), 1));
  chance[0] = "chance";
  table.row(chance);
  table.print();
  if (!source.stages) {
    cli::Table by_class({"right of a class, %", names[0], names[1], names[2]});
    for (std::size_t c = 0; c < source.classes.size(); ++c) {
      std::vector<std::string> row{source.classes[c]};
      for (const Accuracy& a : of)
        row.push_back(cli::percent(Accuracy::share(a.right_of[c], a.all_of[c]), 1));
      by_class.row(row);
    }
    by_class.print();
  }
  std::printf("%lld test clips; weights: %s, %s\n", static_cast<long long>(o.test),
              cli::printable(weights_path(o, true)).c_str(),
              cli::printable(weights_path(o, false)).c_str());
}

void run(PretrainOptions o) {
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  const ClipSets sets = read_clips("pretrain_i3d", o);
  const Source source = o.clips.empty() ? rendered() : trimmed(sets);
  Accuracies right;
  const auto measure = [&](const i3d::InceptionI3d<float>& rgb,
                           const i3d::InceptionI3d<float>& flow) {
    for (const auto* model : {&rgb, &flow}) {
      TANDEM_CHECK(model->config().classes == static_cast<std::int64_t>(source.classes.size()),
                   "pretrain_i3d", "the weights in ", o.out, " tell ", model->config().classes,
                   " classes apart, the clips have ", source.classes.size());
    }
    cli::Progress progress("testing", static_cast<std::size_t>(o.test));
    const NoGrad no_grad;
    constexpr std::int64_t at_once = 32;
    for (std::int64_t done = 0; done < o.test; done += at_once) {
      const std::int64_t count = std::min(at_once, o.test - done);
      const Clips clips = make_clips(source, count, true, true, false, [&](std::int64_t n) {
        return draws(o, Draw::test).split(static_cast<std::uint64_t>(done + n));
      });
      const Tensor<float> p = softmax(rgb.forward(clips.rgb), 1),
                          q = softmax(flow.forward(clips.flow), 1);
      right[0].add(p, clips);
      right[1].add(q, clips);
      right[2].add(add(p, q), clips);
      progress.update(static_cast<std::size_t>(done + count));
    }
    progress.finish();
  };
  if (o.check) {
    measure(*i3d::load<float>(weights_path(o, true)).model,
            *i3d::load<float>(weights_path(o, false)).model);
  } else {
    const cli::OutputFolder output(o.out, "pretrain_i3d");
    const auto rgb = train_stream(o, source, true), flow = train_stream(o, source, false);
    measure(*rgb, *flow);
    output.lock().check();
    write(o, source, *rgb, true, right[0], right[2]);
    write(o, source, *flow, false, right[1], right[2]);
  }
  print(o, source, right);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains the miniature's two I3D networks from scratch: RGB and TV-L1 flow of clips in which "
      "a "
      "person handles one of\nten objects in one of eight ways, drawn anew in every step. With\n"
      "--clips of windows of trimmed clips of any folder.\n\n  pretrain_i3d --out weights/mini\n",
      "pretrain_i3d");
  PretrainOptions o;
  add_options(app, o);
  return cli::run(app, argc, argv, [&] { run(o); });
}
