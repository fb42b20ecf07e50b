/// pretrain_i3d — trains the miniature's I3D networks from scratch, by classification.
///
///   pretrain_i3d --out weights/mini
///
/// Both streams, RGB and TV-L1 flow, are InceptionI3d at an eighth of its widths, on clips of 8 frames of
/// 64 × 64 pixels: a person handles one of ten objects in one of eight ways, thirty pairs in all, of
/// which twelve are the classes of the world that render_world renders. Clips are drawn anew in every
/// step. Writes i3d_rgb.safetensors and i3d_flow.safetensors into --out, with what they were made of and
/// what they reach in their headers, and prints the accuracy on clips that were not trained on.

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "miniature/pretraining.hpp"
#include "miniature/samples.hpp"
#include "tandem/i3d/load.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/ops/argmax.hpp"
#include "tandem/ops/cross_entropy.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/softmax.hpp"

namespace {

using namespace tandem;
using namespace miniature;

/// How clips are prepared: they have the size of the network already.
i3d::PreprocessOptions preparation() { return {.size = side, .crop = side, .bound = flow_bound}; }

struct Clips {
  Tensor<float> rgb, flow;      ///< (N, 3, 8, 64, 64), (N, 2, 8, 64, 64), those that are wanted
  Tensor<std::int64_t> labels;  ///< (N): the pair
  std::vector<Stage> stages;
};

/// `count` clips, the n-th of them from the random numbers `of(n)`; half of those for training are
/// mirrored.
template <class Random>
Clips make_clips(std::int64_t count, bool rgb, bool flow, bool mirror, const Random& of) {
  std::vector<Tensor<float>> colours(static_cast<std::size_t>(count)),
      motions(static_cast<std::size_t>(count));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
  Clips out;
  out.stages.resize(static_cast<std::size_t>(count));
  cpu::parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const auto i = static_cast<std::size_t>(n);
      const Generator random = of(n);
      const Moment moment = draw_clip(random.split(0));
      Tensor<std::uint8_t> frames = render_clip(moment);
      if (mirror && random.split(1).next_double() < 0.5) {
        std::vector<std::int64_t> columns;
        for (std::int64_t x = side; x-- > 0;) columns.push_back(x);
        frames = index_select(frames, 2, from_vector<std::int64_t>(columns));
      }
      labels[i] = moment.pair;
      out.stages[i] = moment.stage;
      if (rgb)
        colours[i] =
            i3d::preprocess_rgb(frames.slice(0, 0, frames_per_row).contiguous(), preparation());
      if (flow) motions[i] = i3d::preprocess_flow(flow_of(frames), preparation());
    }
  });
  if (rgb) out.rgb = stack(colours, 0);
  if (flow) out.flow = stack(motions, 0);
  out.labels = from_vector<std::int64_t>(labels);
  return out;
}

/// Right answers of some clips, by stage.
struct Accuracy {
  std::int64_t right = 0, all = 0, core_right = 0, core = 0;
  void add(const Tensor<float>& scores, const Clips& clips) {
    const Tensor<std::int64_t> best = argmax(scores, 1);
    for (std::int64_t n = 0; n < scores.size(0); ++n) {
      const bool hit = best.data()[n] == clips.labels.data()[n],
                 in_core = clips.stages[static_cast<std::size_t>(n)] == Stage::core;
      ++all, right += hit;
      core += in_core, core_right += in_core && hit;
    }
  }
  static double share(std::int64_t part, std::int64_t of) {
    return of == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(of);
  }
  double total() const { return share(right, all); }
  double in_core() const { return share(core_right, core); }
  double around() const { return share(right - core_right, all - core); }
  io::Json json() const {
    io::Json out = io::Json::object();
    out["top_1"] = total();
    out["core"] = in_core();
    out["approach_and_recovery"] = around();
    return out;
  }
};

Ref<i3d::InceptionI3d<float>> train_stream(const PretrainOptions& o, bool rgb) {
  Generator random = draws(o, Draw::start).split(rgb ? 1 : 2);
  const i3d::Config config =
      i3d::Config{.channels = rgb ? 3 : 2, .classes = pairs, .window = {1, 2, 2}, .dropout = 0.3}
          .narrowed(8);
  const auto model = make_ref<i3d::InceptionI3d<float>>(config, random);
  pretrain(o, rgb ? "i3d_rgb" : "i3d_flow", *model, [&](std::int64_t step) {
    const Clips clips =
        make_clips(o.batch, rgb, !rgb, true, [&](std::int64_t i) { return of_sample(o, step, i); });
    return cross_entropy(model->forward(rgb ? clips.rgb : clips.flow), clips.labels);
  });
  return model;
}

std::string weights_path(const PretrainOptions& o, bool rgb) {
  return io::join_path(o.out, rgb ? "i3d_rgb.safetensors" : "i3d_flow.safetensors");
}

void write(const PretrainOptions& o, const i3d::InceptionI3d<float>& model, bool rgb,
           const Accuracy& alone, const Accuracy& both) {
  io::Json training = recipe(o);
  training["clips"] = "miniature world, 30 pairs of motion and object; chance 0.033";
  training["test_clips"] = alone.all;
  training["alone"] = alone.json();
  training["both_streams"] = both.json();
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

void run(const PretrainOptions& o) {
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  Accuracy by_rgb, by_flow, by_both;
  const auto measure = [&](const i3d::InceptionI3d<float>& rgb,
                           const i3d::InceptionI3d<float>& flow) {
    cli::Progress progress("testing", static_cast<std::size_t>(o.test));
    const NoGrad no_grad;
    constexpr std::int64_t at_once = 32;
    for (std::int64_t done = 0; done < o.test; done += at_once) {
      const std::int64_t count = std::min(at_once, o.test - done);
      const Clips clips = make_clips(count, true, true, false, [&](std::int64_t n) {
        return draws(o, Draw::test).split(static_cast<std::uint64_t>(done + n));
      });
      const Tensor<float> p = softmax(rgb.forward(clips.rgb), 1),
                          q = softmax(flow.forward(clips.flow), 1);
      by_rgb.add(p, clips);
      by_flow.add(q, clips);
      by_both.add(add(p, q), clips);
      progress.update(static_cast<std::size_t>(done + count));
    }
    progress.finish();
  };
  if (o.check) {
    measure(*i3d::load<float>(weights_path(o, true)).model,
            *i3d::load<float>(weights_path(o, false)).model);
  } else {
    io::make_directories(o.out);
    const io::FolderLock lock(o.out, "pretrain_i3d");
    const auto rgb = train_stream(o, true), flow = train_stream(o, false);
    measure(*rgb, *flow);
    lock.check();
    write(o, *rgb, true, by_rgb, by_both);
    write(o, *flow, false, by_flow, by_both);
  }
  cli::Table table({"top-1 of 30, %", "all clips", "core", "approach and recovery"});
  const auto line = [&](const char* name, const Accuracy& a) {
    table.row({name, cli::percent(a.total(), 1), cli::percent(a.in_core(), 1),
               cli::percent(a.around(), 1)});
  };
  line("RGB", by_rgb);
  line("flow", by_flow);
  line("both", by_both);
  table.row({"chance", "3.3", "3.3", "3.3"});
  table.print();
  std::printf("%lld test clips; weights: %s, %s\n", static_cast<long long>(o.test),
              cli::printable(weights_path(o, true)).c_str(),
              cli::printable(weights_path(o, false)).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains the miniature's two I3D networks from scratch: RGB and TV-L1 flow of clips in which "
      "a "
      "person handles one of\nten objects in one of eight ways, drawn anew in every step.\n\n  "
      "pretrain_i3d --out weights/mini\n",
      "pretrain_i3d");
  PretrainOptions o;
  add_options(app, o);
  return cli::run(app, argc, argv, [&] { run(o); });
}
