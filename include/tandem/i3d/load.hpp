#pragma once
/// Loading I3D's weights: safetensors files that weights/convert.py i3d wrote.
///
///   const auto rgb = i3d::load<float>("i3d_rgb.safetensors");
///   std::puts(rgb.report.str().c_str());
///   const Tensor<float> clip = i3d::preprocess_rgb(frames, rgb.preprocessing).unsqueeze(0);
///   Tensor<float> features = rgb.model->features(clip);                     // (1, 1024)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/i3d/inception.hpp"
#include "tandem/i3d/preprocess.hpp"
#include "tandem/io/filler.hpp"
#include "tandem/io/json_reader.hpp"

TANDEM_NAMESPACE_BEGIN
namespace i3d {

using io::WeightsReport;

/// What to make of a checkpoint.
struct LoadOptions {
  bool bfloat16 = false;  ///< infer in bfloat16 (a model of float that is prepared)
  bool prepare = true;    ///< pack the weights for inference (a model of float)
  /// Fold batch norms into convolutions. Without it the model is the trainable one, in memory of
  /// its own, and is not prepared; it is frozen until requires_grad(true) and train().
  bool fold = true;
  /// Tensors that the file lacks start as in a new model; else an error
  bool allow_missing = false;
  std::optional<Triple> window = {};  ///< of the last average pool, in place of the file's
};

/// An I3D checkpoint.
///
///   i3d::WeightFile file("i3d_rgb.safetensors");
///   i3d::Config config = file.config({});
///
/// Widths, channels and classes follow from the shapes; the window of the last pool is in the
/// metadata ("window"), else 2×7×7, as is the epsilon of the batch norms ("batch_norm_epsilon"),
/// else 10⁻³. Errors, each one sentence with the file and, where there is one, the tensor:
/// no safetensors file, another network, a tensor that is missing or of another rank.
class WeightFile {
 public:
  explicit WeightFile(const std::string& path) : file_(opened(path)) {
    if (!file_.contains("Conv3d_1a_7x7.conv3d.weight")) {
      const std::vector<std::string> names = file_.names();
      error("this is no I3D checkpoint: there is no tensor \"Conv3d_1a_7x7.conv3d.weight\"",
            names.empty() ? "" : concat(", the first is \"", names[0], "\""));
    }
    check_header();
  }

  /// The path and the open file.
  const std::string& path() const { return file_.path(); }
  const io::SafetensorsFile& file() const { return file_; }

  /// The checkpoint's tensors for one of ours: that of its name, and none for a count of batches.
  io::Pieces pieces(const std::string& name) const {
    if (name.ends_with(".num_batches_tracked")) return {};
    return {{name}};
  }

  Config config(const LoadOptions& options) const {
    Config out;
    out.channels = weight("Conv3d_1a_7x7")[1];
    out.classes = weight("logits")[0];
    out.stem = {width("Conv3d_1a_7x7"), width("Conv3d_2b_1x1"), width("Conv3d_2c_3x3")};
    for (std::size_t i = 0; i < out.mixed.size(); ++i) {
      const std::string block = concat(mixed_names[i], ".");
      MixedWidths& m = out.mixed[i];
      m = {width(block + "b0"),  width(block + "b1a"), width(block + "b1b"),
           width(block + "b2a"), width(block + "b2b"), width(block + "b3b")};
    }
    const auto found = file_.metadata().find("window");
    if (found != file_.metadata().end()) {
      const auto text = io::JsonDocument::parse(found->second, path() + " (window)");
      if (text.root().array().size() != 3) text.root().error("expected [frames, rows, columns]");
      const auto size = [&](std::size_t i) { return text.root()[i].integer(1, 1 << 20); };
      out.window = {size(0), size(1), size(2)};
    }
    if (options.window) out.window = *options.window;
    out.epsilon = number("batch_norm_epsilon", out.epsilon);
    if (!(out.epsilon > 0 && out.epsilon < 1)) {
      error("the header says batch_norm_epsilon ", out.epsilon,
            ", expected a number between 0 and 1");
    }
    return out;
  }

  /// How clips are prepared for this model, as the header says.
  PreprocessOptions preprocessing() const {
    PreprocessOptions out;
    const auto size = [this](const char* key, std::int64_t otherwise) {
      const double value = number(key, static_cast<double>(otherwise));
      if (!(value >= 1 && value < 1 << 14 && std::floor(value) == value)) {
        error("the header says ", key, " ", value, ", expected an integer from 1 to ",
              (1 << 14) - 1);
      }
      return static_cast<std::int64_t>(value);
    };
    out.size = size("short_side", out.size);
    out.crop = size("crop", out.crop);
    out.bound = static_cast<float>(number("flow_bound", static_cast<double>(out.bound)));
    const auto by = file_.metadata().find("interpolation");
    if (by != file_.metadata().end() && by->second == "bicubic") out.filter = ResizeFilter::bicubic;
    return out;
  }

  /// Throws Error with the file's path before the words.
  template <class... Words>
  [[noreturn]] void error(const Words&... words) const {
    fail("i3d", path(), ": ", words...);
  }

 private:
  static std::string opened(const std::string& path) {
    const auto file = io::MappedFile::open(path);
    const std::string_view start = file->text().substr(0, 4);
    TANDEM_CHECK(
        !start.starts_with("PK") && !start.starts_with("\x80\x02"), "i3d", path,
        ": this is a PyTorch archive; weights/convert.py i3d makes a safetensors file of it");
    return path;
  }
  double number(const char* key, double otherwise) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) return otherwise;
    return io::JsonDocument::parse(found->second, concat(path(), " (", key, ")")).root().number();
  }
  /// Every key of the header of a converted file is done, known to change no feature, or refused:
  /// what is passed over could change the features without a word.
  void check_header() const {
    struct Rule {
      std::string_view key;
      std::vector<std::string_view> values = {};  ///< those implemented; empty: all
    };
    static const std::vector<Rule> rules = {
        {"format", {"tandem i3d 1"}},
        {"stream", {"rgb", "flow"}},
        {"source"},
        {"training"},
        {"source_sha256"},
        {"source_index_sha256"},
        {"source_kind"},
        {"dtype"},
        {"channels"},
        {"classes"},
        {"features"},
        {"window"},
        {"batch_norm_epsilon"},
        {"resize", {"short side, then centre crop"}},
        {"short_side"},
        {"crop"},
        {"interpolation", {"bilinear", "bicubic"}},
        {"flow_bound"},
        {"scale", {"byte * 2 / 255 - 1", "clip(pixels, -20, 20) / 20"}}};
    const auto format = file_.metadata().find("format");
    const bool converted = format != file_.metadata().end() && format->second.starts_with("tandem");
    for (const auto& [key, value] : file_.metadata()) {
      const auto rule =
          std::find_if(rules.begin(), rules.end(), [&](const Rule& r) { return r.key == key; });
      if (rule == rules.end()) {
        if (converted)
          error("the header has the key \"", key,
                "\", which is not known here and may change the features");
        continue;
      }
      if (rule->values.empty() || (key == "format" && !converted)) continue;
      if (std::find(rule->values.begin(), rule->values.end(), value) == rule->values.end()) {
        error("the header says ", key, " \"", value.substr(0, 80), "\", which is not implemented");
      }
    }
  }
  /// The shape of a unit's convolution.
  std::vector<std::int64_t> weight(const std::string& unit) const {
    const std::string name = unit + ".conv3d.weight";
    if (!file_.contains(name)) error("tensor \"", name, "\" is missing");
    std::vector<std::int64_t> sizes = file_.at(name).shape;
    bool small = sizes.size() == 5;
    for (const std::int64_t size : sizes) small = small && size > 0 && size <= 1 << 16;
    if (!small) {
      error("tensor \"", name, "\" has shape ", io::shape_text(sizes),
            ", expected 5 dimensions, each from 1 to 65536");
    }
    return sizes;
  }
  std::int64_t width(const std::string& unit) const { return weight(unit)[0]; }

  io::SafetensorsFile file_;
};

/// A model and what its file says.
template <FloatingElement T>
struct I3d {
  Ref<InceptionI3d<T>> model;
  std::string stream;               ///< "rgb" or "flow"
  PreprocessOptions preprocessing;  ///< of its clips
  io::Metadata metadata;  ///< of the file: source, hash of the original, preprocessing …
  WeightsReport report;
};

/// Loads one stream, frozen and in evaluation mode. Errors: see WeightFile; tensors that are
/// missing, of another shape, not floating or not finite somewhere, and variances below 0, by name.
template <FloatingElement T>
I3d<T> load(const std::string& path, const LoadOptions& options = {}) {
  const WeightFile file(path);
  const Config config = file.config(options);
  I3d<T> out;
  Generator random(0);
  if (options.allow_missing) {
    out.model = make_ref<InceptionI3d<T>>(config, random);
  } else {
    const nn::SkipInit skip;
    out.model = make_ref<InceptionI3d<T>>(config, random);
  }
  io::Filler filler(file, false, options.allow_missing, out.report);
  filler.fill(*out.model, "");
  filler.finish([](const std::string&) { return false; });
  for (const nn::Slot<T>& slot : out.model->slots()) {
    if (!slot.name.ends_with(".running_var")) continue;
    const T* const variances = slot.tensor->data();
    for (std::int64_t i = 0; i < slot.tensor->numel(); ++i) {
      if (variances[i] < 0) {
        file.error("tensor \"", slot.name, "\" is ", static_cast<double>(variances[i]),
                   " at element ", i, ", a variance is not negative");
      }
    }
  }
  if (options.fold) {
    out.model->fold();
    if (options.prepare) out.model->prepare({.bfloat16 = options.bfloat16});
  } else {
    TANDEM_CHECK(!options.bfloat16, "i3d", "only a model that is folded can be kept as bfloat16");
    // An optimizer cannot change what is mapped.
    for (const nn::Slot<T>& slot : out.model->slots()) {
      if (slot.tensor->defined()) slot.tensor->replace_(slot.tensor->detach().clone());
    }
  }
  out.stream = config.channels == 2 ? "flow" : "rgb";
  out.preprocessing = file.preprocessing();
  out.metadata = file.file().metadata();
  return out;
}

}  // namespace i3d
TANDEM_NAMESPACE_END
