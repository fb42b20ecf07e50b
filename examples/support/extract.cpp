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

Ref<i3d::InceptionI3d<float>> open_i3d(const Options& o, bool rgb, io::Json& weights) {
  const std::int64_t channels = rgb ? 3 : 2;
  if (!o.random()) {
    const std::string& path = rgb ? o.i3d_rgb : o.i3d_flow;
    const auto loaded = i3d::load<float>(path, {.bfloat16 = o.bfloat16});
    const auto& model = loaded.model;
    check_weights(*model, path);
    const i3d::PreprocessOptions &theirs = loaded.preprocessing, &ours = o.extraction.i3d;
    if (theirs.size != ours.size || theirs.crop != ours.crop || theirs.filter != ours.filter ||
        theirs.bound != ours.bound) {
      std::fprintf(stderr,
                   "extract_features: %s says short side %lld, crop %lld, flow bound %g; the "
                   "options say %lld, %lld, "
                   "%g, which are used\n",
                   cli::printable(path).c_str(), static_cast<long long>(theirs.size),
                   static_cast<long long>(theirs.crop), static_cast<double>(theirs.bound),
                   static_cast<long long>(ours.size), static_cast<long long>(ours.crop),
                   static_cast<double>(ours.bound));
    }
    TANDEM_CHECK(model->config().channels == channels, "extract_features", path, " is the ",
                 rgb ? "flow" : "RGB", " stream of I3D (", model->config().channels,
                 " channels), --i3d-", rgb ? "rgb" : "flow", " takes the other");
    weights = hash_of(path);
    return model;
  }
  Generator random = Generator(static_cast<std::uint64_t>(o.random_weights)).split(rgb ? 1 : 2);
  const auto model = make_ref<i3d::InceptionI3d<float>>(
      i3d::Config{.channels = channels}.narrowed(o.random_narrow), random);
  const NoGrad no_grad;
  draw_for_relu(*model);
  model->prepare({.bfloat16 = o.bfloat16});
  return model;
}

Ref<clip::ImageEncoder<float>> open_clip(Options& o, io::Json& weights) {
  if (!o.random()) {
    const clip::WeightFile file(o.clip);
    auto encoder = clip::load_image_encoder<float>(
        o.clip, {.bfloat16 = o.bfloat16, .activation = clip::activation_named(o.clip_activation)});
    check_weights(*encoder, file.path());
    nn::pack_weights(*encoder);
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
  nn::pack_weights(*encoder);
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
  for (const std::string& stream : o.streams) {
    io::Json& weights = parts_->weights[stream] = random;
    if (stream == "rgb") parts_->encoders.rgb = open_i3d(o, true, weights);
    if (stream == "flow") parts_->encoders.flow = open_i3d(o, false, weights);
    if (stream == "clip") parts_->encoders.clip = open_clip(o, weights);
  }
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
  return extractor->extract(path, progress);
}

}  // namespace extract
