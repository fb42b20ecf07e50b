// The networks behind extract_features and localize.

extern "C" {
#include <libavutil/mem.h>
#include <libavutil/sha.h>
}

#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>

#include "../extract_options.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/features/extraction.hpp"
#include "tandem/i3d/load.hpp"
#include "tandem/io/file.hpp"

namespace extract {

namespace {

/// Says which weights rows were made with, as `sha256sum` prints it.
io::Json hash_of(const std::string& path) {
  const auto file = io::MappedFile::open(path);
  const std::unique_ptr<AVSHA, void (*)(void*)> sha(av_sha_alloc(), av_free);
  TANDEM_CHECK(sha && av_sha_init(sha.get(), 256) == 0, "extract_features",
               "libavutil cannot hash ", path);
  av_sha_update(sha.get(), reinterpret_cast<const std::uint8_t*>(file->text().data()),
                file->text().size());
  std::array<std::uint8_t, 32> digest;
  av_sha_final(sha.get(), digest.data());
  std::string hex;
  for (const unsigned byte : digest) {
    for (const unsigned digit : {byte >> 4, byte & 15}) hex += "0123456789abcdef"[digit];
  }
  io::Json entry = io::Json::object();
  entry["sha256"] = hex;
  return entry;
}

/// One weight that is no number makes every row useless: noticed before the first video.
template <class Network>
void check_weights(Network& network, const std::string& path) {
  for (const nn::Slot<float>& slot : network.slots()) {
    if (slot.tensor == nullptr || !slot.tensor->defined()) continue;
    const Tensor<float> dense = slot.tensor->contiguous();
    TANDEM_CHECK(find_not_finite(dense.data(), dense.numel()) < 0, "extract_features", path,
                 ": the weight ", slot.name,
                 " holds a value that is not finite; the file is damaged");
  }
}

/// Variance 2/fan_in, so that random features neither vanish nor explode; modules start with
/// 1/(3·fan_in).
void draw_for_relu(i3d::InceptionI3d<float>& model) {
  for (i3d::Unit<float>* unit : model.units()) {
    float* w = unit->conv3d.weight.mutable_data();
    for (std::int64_t i = 0; i < unit->conv3d.weight.numel(); ++i) w[i] *= 2.4494897F;
  }
}

/// An I3D network and how its clips are prepared.
struct Stream {
  Ref<i3d::InceptionI3d<float>> model;
  i3d::PreprocessOptions preprocessing;
};

Stream open_i3d(const Options& o, bool rgb, io::Json& weights) {
  const std::int64_t channels = rgb ? 3 : 2;
  const bool kept = o.bfloat16 && o.device == "cpu";  // a GPU rounds what it multiplies
  if (!o.random()) {
    const std::string& path = rgb ? o.i3d_rgb : o.i3d_flow;
    const auto loaded = i3d::load<float>(path, {.bfloat16 = kept});
    check_weights(*loaded.model, path);
    TANDEM_CHECK(loaded.model->config().channels == channels, "extract_features", path, " is the ",
                 rgb ? "flow" : "RGB", " stream of I3D (", loaded.model->config().channels,
                 " channels), --i3d-", rgb ? "rgb" : "flow", " takes the other");
    weights = hash_of(path);
    return {loaded.model, loaded.preprocessing};
  }
  Generator random = Generator(static_cast<std::uint64_t>(o.random_weights)).split(rgb ? 1 : 2);
  const auto model = make_ref<i3d::InceptionI3d<float>>(
      i3d::Config{.channels = channels}.narrowed(o.random_narrow), random);
  const NoGrad no_grad;
  draw_for_relu(*model);
  model->prepare({.bfloat16 = kept});
  return {model, {}};
}

/// Both streams see the same frames, so that their files must agree; says where the options are not
/// what a file says.
void prepare_pictures(Options& o, const Stream& rgb, const Stream& flow) {
  i3d::PreprocessOptions theirs = (rgb.model ? rgb : flow).preprocessing;
  if (rgb.model && flow.model) {
    const i3d::PreprocessOptions &a = rgb.preprocessing, &b = flow.preprocessing;
    const bool sizes = o.given.resize > 0 && o.given.crop > 0;
    TANDEM_CHECK((sizes || (a.size == b.size && a.crop == b.crop)) &&
                     (!o.given.filter.empty() || a.filter == b.filter),
                 "extract_features", o.i3d_rgb, " wants frames of ", a.size, ", cropped to ",
                 a.crop, ", and ", o.i3d_flow, " of ", b.size, ", cropped to ", b.crop,
                 ": give --resize, --crop and --resize-filter, which both then have");
    theirs.bound = b.bound;
  }
  finish_pictures(o, theirs);
  const i3d::PreprocessOptions& ours = o.extraction.i3d;
  for (const bool is_rgb : {true, false}) {
    const Stream& s = is_rgb ? rgb : flow;
    if (!s.model) continue;
    const i3d::PreprocessOptions& p = s.preprocessing;
    const std::string& path = is_rgb ? o.i3d_rgb : o.i3d_flow;
    if (!path.empty() && (p.size != ours.size || p.crop != ours.crop || p.filter != ours.filter ||
                          (!is_rgb && p.bound != ours.bound))) {
      std::fprintf(stderr,
                   "extract_features: %s says short side %lld, crop %lld, flow bound %g; the "
                   "options say %lld, %lld, %g, which are used\n",
                   cli::printable(path).c_str(), static_cast<long long>(p.size),
                   static_cast<long long>(p.crop), static_cast<double>(p.bound),
                   static_cast<long long>(ours.size), static_cast<long long>(ours.crop),
                   static_cast<double>(ours.bound));
    }
    const i3d::Config& config = s.model->config();
    TANDEM_CHECK(o.extraction.snippets.stack >= config.least_frames(), "extract_features",
                 "I3D needs at least ", config.least_frames(), " frames, --stack is ",
                 o.extraction.snippets.stack, "; --streams clip does without I3D");
    const std::int64_t least = std::max(config.least_rows(), config.least_columns());
    TANDEM_CHECK(ours.crop >= least, "extract_features", "I3D needs frames of at least ", least,
                 " x ", least, ", --crop is ", ours.crop);
  }
}

Ref<clip::ImageEncoder<float>> open_clip(Options& o, io::Json& weights) {
  if (!o.random()) {
    const clip::WeightFile file(o.clip);
    auto encoder = clip::load_image_encoder<float>(
        o.clip, {.bfloat16 = o.bfloat16, .activation = clip::activation_named(o.clip_activation)});
    check_weights(*encoder, file.path());
    encoder->freeze();
    o.extraction.clip = file.preprocessing(encoder->options().resolution);
    weights = hash_of(file.path());
    return encoder;
  }
  Generator random = Generator(static_cast<std::uint64_t>(o.random_weights)).split(3);
  const std::int64_t by = o.random_narrow;
  const clip::ImageEncoderOptions sizes{.width = std::max<std::int64_t>(768 / by / 12, 1) * 12,
                                        .layers = by > 1 ? 2 : 12,
                                        .heads = by > 1 ? 3 : 12,
                                        .output = std::max<std::int64_t>(512 / by, 1)};
  auto encoder = make_ref<clip::ImageEncoder<float>>(sizes, random);
  if (o.bfloat16) nn::keep_bfloat16(*encoder);
  encoder->freeze();
  encoder->eval();
  return encoder;
}

}  // namespace

struct Extractor::Parts {
  Options options;
  FeatureEncoders encoders;
  io::Json weights = io::Json::object();
  std::map<std::vector<std::string>, std::unique_ptr<FeatureExtractor>> extractors;
};

Extractor::Extractor(const Options& options) : parts_(std::make_unique<Parts>()) {
  Options& o = parts_->options = options;
  io::Json random = io::Json::object();
  random["random_seed"] = o.random_weights;
  random["narrow"] = o.random_narrow;
  Stream rgb, flow;
  for (const std::string& stream : o.streams) {
    io::Json& weights = parts_->weights[stream] = random;
    if (stream == "rgb") rgb = open_i3d(o, true, weights);
    if (stream == "flow") flow = open_i3d(o, false, weights);
    if (stream == "clip") parts_->encoders.clip = open_clip(o, weights);
  }
  prepare_pictures(o, rgb, flow);
  const Device device = cli::open_device("extract_features", o.device);
  if (parts_->encoders.clip && device.is_cpu()) nn::pack_weights(*parts_->encoders.clip);
  cli::saying_what_takes_less("fewer --streams at a time and --device cpu take less", [&] {
    if (rgb.model) rgb.model->to(device);
    if (flow.model) flow.model->to(device);
    if (parts_->encoders.clip) parts_->encoders.clip->to(device);
  });
  parts_->encoders.rgb = rgb.model;
  parts_->encoders.flow = flow.model;
}
Extractor::~Extractor() = default;

const Options& Extractor::options() const { return parts_->options; }
const io::Json& Extractor::weights() const { return parts_->weights; }

std::int64_t Extractor::columns(const std::string& stream) const {
  const FeatureEncoders& e = parts_->encoders;
  return stream == "clip" ? e.clip->options().output
                          : (stream == "rgb" ? e.rgb : e.flow)->config().features();
}

VideoFeatures Extractor::extract(const std::string& path, const std::vector<std::string>& streams,
                                 const std::function<void(std::int64_t)>& progress) {
  auto& extractor = parts_->extractors[streams];
  if (!extractor) {
    FeatureEncoders encoders = parts_->encoders;
    const auto wants = [&](const char* stream) {
      return std::find(streams.begin(), streams.end(), stream) != streams.end();
    };
    if (!wants("rgb")) encoders.rgb = {};
    if (!wants("flow")) encoders.flow = {};
    if (!wants("clip")) encoders.clip = {};
    extractor = std::make_unique<FeatureExtractor>(std::move(encoders), parts_->options.extraction);
  }
  return cli::saying_what_takes_less(
      "fewer --streams at a time, a smaller --flow-size and --precision bf16 take less",
      [&] { return extractor->extract(path, progress); });
}

}  // namespace extract
