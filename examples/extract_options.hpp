#pragma once
/// The options of extracting features: names, defaults, help, and the encoders that they name.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common_cli.hpp"
#include "device_cli.hpp"
#include "tandem/features/video_features.hpp"
#include "tandem/io/json.hpp"

namespace extract {

using namespace tandem;
using namespace tandem::wtal;

struct Options {
  std::string i3d_rgb, i3d_flow, clip, clip_activation, precision;
  std::int64_t random_weights = -1, random_narrow = 1;
  bool bfloat16 = false;  ///< --precision bf16, too
  std::vector<std::string> streams{"rgb", "flow", "clip"};
  ExtractionOptions extraction;
  /// What is not given (0, "") is as the I3D weights say, else as published.
  struct Pictures {
    std::int64_t resize = 0, crop = 0, flow_size = 0;
    float flow_bound = 0;
    std::string filter;
  } given;
  std::string tail = "drop", last_flow = "repeat", device = "cpu";
  std::int64_t threads = 0;

  bool has(const std::string& stream) const {
    return std::find(streams.begin(), streams.end(), stream) != streams.end();
  }
  bool random() const { return random_weights >= 0; }
};

inline void add_options(CLI::App& app, Options& o) {
  SnippetOptions& s = o.extraction.snippets;
  flow::TvL1Options& t = o.extraction.tvl1;
  const auto number = [&app](const char* name, auto& value, const char* help, const char* group) {
    return app.add_option(name, value, help)->group(group)->capture_default_str();
  };
  const char* group = "Encoders";
  app.add_option("--i3d-rgb", o.i3d_rgb,
                 "I3D weights of the RGB stream: safetensors of weights/convert.py i3d")
      ->group(group)
      ->check(CLI::ExistingFile);
  app.add_option("--i3d-flow", o.i3d_flow, "I3D weights of the flow stream")
      ->group(group)
      ->check(CLI::ExistingFile);
  app.add_option("--clip-weights", o.clip,
                 "CLIP weights: a file of weights/convert.py clip, or of open_clip or Hugging Face")
      ->group(group)
      ->check(CLI::ExistingPath);
  cli::add_choice(app, "--clip-activation", o.clip_activation, {"", "quick_gelu", "gelu"},
                  "What the CLIP model was trained with, where its files do not say")
      ->group(group);
  app.add_option("--random-weights", o.random_weights,
                 "Random weights with this seed instead of files: shows that everything runs, the "
                 "features mean nothing")
      ->group(group)
      ->check(cli::non_negative());
  number("--random-narrow", o.random_narrow,
         "Divide the widths of random networks by this, to try things quickly", group)
      ->check(cli::range(1, 64));
  cli::add_precision(
      app, o.precision,
      "on the CPU weights and activations, half the memory, faster where the CPU has "
      "it; on a GPU the factors of all products, on tensor cores")
      ->group(group);
  app.add_flag("--bfloat16", o.bfloat16, cli::bfloat16_help)->group(group);

  group = "Snippets";
  const auto streams = [](const std::string& given) {
    for (const char* known : {"rgb", "flow", "clip"}) {
      if (given == known) return std::string();
    }
    const std::vector<std::string> words{"rgb", "flow", "clip"};
    return concat("'", given, "' is none of rgb, flow, clip", did_you_mean(given, words));
  };
  app.add_option("--streams", o.streams, "Which rows: rgb, flow, clip, with commas between")
      ->group(group)
      ->delimiter(',')
      ->check(streams)
      ->default_str("rgb,flow,clip");
  number("--stack", s.stack, "Frames of a row; I3D as published needs at least 9", group)
      ->check(cli::range(1, 4096));
  number("--step", s.step, "Frames from one row to the next", group)->check(cli::range(1, 4096));
  number("--fps", s.fps,
         "Resample the video to this many frames per second; 0: take the frames as they are", group)
      ->check(cli::range(0.0, 1000.0));
  cli::add_choice(app, "--tail", o.tail, {"drop", "repeat"},
                  "Frames at the end that fill no row: leave them out, or repeat the last one")
      ->group(group)
      ->capture_default_str();
  cli::add_choice(app, "--last-flow", o.last_flow, {"repeat", "drop"},
                  "A row at the very end lacks its last flow: repeat the one before, or drop the "
                  "row as the published "
                  "features do")
      ->group(group)
      ->capture_default_str();
  number("--clip-frames", o.extraction.clip_frames,
         "Frames of a row that CLIP sees; 1: the middle one, more: their mean", group)
      ->check(cli::range(1, 4096));

  group = "Pictures";
  const auto as_weights_say = [&app, &group](const char* name, auto& value, const char* help,
                                             const char* otherwise) {
    return app.add_option(name, value, help)
        ->group(group)
        ->default_str(concat("as the weights say, else ", otherwise));
  };
  as_weights_say("--resize", o.given.resize, "I3D: short side of the resized frames", "256")
      ->check(cli::range(1, 4096));
  as_weights_say("--crop", o.given.crop, "I3D: rows and columns of the centre that are kept", "224")
      ->check(cli::range(1, 4096));
  cli::add_choice(app, "--resize-filter", o.given.filter, {"bilinear", "bicubic"},
                  "I3D and flow: how frames are resized, as Pillow does it")
      ->group(group)
      ->default_str("as the weights say, else bilinear");

  group = "Flow (TV-L1)";
  app.add_option("--flow-size", o.given.flow_size,
                 "Short side of the frames that flow is computed on")
      ->group(group)
      ->default_str("that of I3D's frames")
      ->check(cli::range(32, 4096));
  as_weights_say("--flow-bound", o.given.flow_bound, "Pixels of flow that become 1", "20")
      ->check(cli::positive());
  number("--flow-tau", t.tau, "Time step", group)->check(cli::positive());
  number("--flow-lambda", t.lambda, "Weight of the data term; smaller is smoother", group)
      ->check(cli::positive());
  number("--flow-theta", t.theta, "Tightness", group)->check(cli::positive());
  number("--flow-scales", t.scales, "Scales of the pyramid", group)->check(cli::range(1, 20));
  number("--flow-scale-step", t.scale_step, "Size of a scale relative to the finer one", group)
      ->check(cli::range(0.1, 0.95));
  number("--flow-warps", t.warps, "Warps per scale", group)->check(cli::range(1, 100));
  number("--flow-epsilon", t.epsilon, "Stop when the flow changes by less, in pixels", group)
      ->check(cli::non_negative());
  number("--flow-inner-iterations", t.inner_iterations, "Iterations between two median filters",
         group)
      ->check(cli::range(1, 1000));
  number("--flow-outer-iterations", t.outer_iterations, "Median filters per warp, at most", group)
      ->check(cli::range(1, 1000));
  number("--flow-median", t.median, "Side of the median filter: 5, 3, or 1 for none", group)
      ->check(CLI::IsMember({1, 3, 5}));
  number("--flow-sampling-steps", t.sampling_steps,
         "Sample at parts of a pixel, as OpenCV does (32); 0: exactly", group)
      ->check(cli::range(0, 1 << 16));

  group = "Run";
  number("--threads", o.threads,
         "Threads for decoding, flow and networks together; 0: all that the machine offers", group)
      ->check(cli::range(0, cpu::max_threads));
  app.add_option("--device", o.device, concat("Of everything but decoding. ", cli::device_help))
      ->group(group)
      ->capture_default_str();
  number("--decoding-threads", o.extraction.decoding_threads,
         "Threads of the decoder itself, for large videos", group)
      ->check(cli::range(1, 64));
}

/// Words into enums, and what does not go together.
inline void finish_options(Options& o) {
  o.extraction.snippets.tail = o.tail == "repeat" ? Tail::repeat : Tail::drop;
  o.extraction.snippets.last_flow = o.last_flow == "drop" ? LastFlow::drop : LastFlow::repeat;
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  o.extraction.threads = cpu::num_threads();
  std::sort(o.streams.begin(), o.streams.end());
  o.streams.erase(std::unique(o.streams.begin(), o.streams.end()), o.streams.end());
  TANDEM_CHECK(!o.streams.empty(), "extract_features", "--streams names no stream");
  const Device device = cli::open_device("extract_features", o.device);
  const Precision precision =
      cli::open_precision("extract_features", o.precision, o.bfloat16, device);
  o.bfloat16 = precision == Precision::bfloat16;
  o.extraction.precision = cli::products_on(device, precision);
  clip_offsets(o.extraction.snippets.stack, o.extraction.clip_frames);  // checks
  const struct {
    const char *stream, *option;
    const std::string& path;
  } needed[] = {{"rgb", "--i3d-rgb", o.i3d_rgb},
                {"flow", "--i3d-flow", o.i3d_flow},
                {"clip", "--clip-weights", o.clip}};
  for (const auto& n : needed) {
    if (!o.has(n.stream)) continue;
    TANDEM_CHECK(o.random() || !n.path.empty(), "extract_features", "the ", n.stream,
                 " rows need weights: ", n.option,
                 " FILE (weights/README.md says where they come from), fewer --streams, or "
                 "--random-weights SEED to "
                 "see everything run without them");
    TANDEM_CHECK(!o.random() || n.path.empty(), "extract_features", n.option,
                 " and --random-weights exclude each other");
  }
}

/// The sizes of the pictures: as given, else as in `weights`, what an I3D file says.
inline void finish_pictures(Options& o, const i3d::PreprocessOptions& weights) {
  const auto filter_named = [](const std::string& name) {
    return name == "bicubic" ? io::ResizeFilter::bicubic : io::ResizeFilter::bilinear;
  };
  i3d::PreprocessOptions& p = o.extraction.i3d;
  p.size = o.given.resize > 0 ? o.given.resize : weights.size;
  p.crop = o.given.crop > 0 ? o.given.crop : weights.crop;
  p.bound = o.given.flow_bound > 0 ? o.given.flow_bound : weights.bound;
  p.filter = o.given.filter.empty() ? weights.filter : filter_named(o.given.filter);
  o.extraction.flow_size = o.given.flow_size > 0 ? o.given.flow_size : p.size;
  TANDEM_CHECK(p.crop <= p.size, "extract_features", "--crop ", p.crop, " is larger than --resize ",
               p.size);
}

/// The networks that the options name, and an extractor for each set of streams. Defined in
/// support/extract.cpp, so that the networks are compiled once for all programs.
class Extractor {
 public:
  /// Opens the files, or draws random weights. Errors: files that are no such network, or of
  /// another stream.
  explicit Extractor(const Options& options);
  ~Extractor();
  Extractor(const Extractor&) = delete;
  Extractor& operator=(const Extractor&) = delete;

  /// The options with what the files of weights say of preprocessing.
  const Options& options() const;
  /// Stream → {"sha256"} of the file, or {"random_seed", "narrow"}.
  const io::Json& weights() const;
  /// How many columns a row of a stream has.
  std::int64_t columns(const std::string& stream) const;
  /// Some of the options' streams of one video.
  VideoFeatures extract(const std::string& path, const std::vector<std::string>& streams,
                        const std::function<void(std::int64_t)>& progress);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Everything that decides the values of a stream's rows, for provenance: equal settings, equal
/// rows.
inline io::Json settings(const Options& o, const std::string& stream, const io::Json& weights) {
  const ExtractionOptions& e = o.extraction;
  io::Json out = io::Json::object();
  out["stack"] = e.snippets.stack;
  out["step"] = e.snippets.step;
  out["fps"] = e.snippets.fps;
  out["tail"] = o.tail;
  out["last_flow"] = o.last_flow;
  out["bfloat16"] = o.bfloat16;
  if (e.precision == Precision::tf32) out["precision"] = "tf32";
  out["weights"] = weights;
  if (stream == "clip") {
    out["clip_frames"] = e.clip_frames;
    out["resize"] = e.clip.size;
    out["crop"] = e.clip.crop;
    out["resize_filter"] = "bicubic";
    return out;
  }
  out["resize"] = e.i3d.size;
  out["crop"] = e.i3d.crop;
  out["resize_filter"] = e.i3d.filter == io::ResizeFilter::bicubic ? "bicubic" : "bilinear";
  if (stream == "flow") {
    const flow::TvL1Options& t = e.tvl1;
    io::Json flow = io::Json::object();
    flow["method"] = "TV-L1";
    flow["size"] = e.flow_size;
    flow["bound"] = e.i3d.bound;
    flow["tau"] = t.tau;
    flow["lambda"] = t.lambda;
    flow["theta"] = t.theta;
    flow["scales"] = t.scales;
    flow["scale_step"] = t.scale_step;
    flow["warps"] = t.warps;
    flow["epsilon"] = t.epsilon;
    flow["inner_iterations"] = t.inner_iterations;
    flow["outer_iterations"] = t.outer_iterations;
    flow["median"] = t.median;
    flow["sampling_steps"] = t.sampling_steps;
    out["flow"] = std::move(flow);
  }
  return out;
}

}  // namespace extract
