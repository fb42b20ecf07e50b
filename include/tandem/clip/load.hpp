#pragma once
/// Loading CLIP's weights: safetensors files that weights/convert.py wrote, that open_clip saved,
/// or that a Hugging Face CLIPModel saved, without copying what can be used as it lies in the file.
///
///   const auto model = clip::load<float>("ViT-B-16.safetensors");
///   std::puts(model.report.str().c_str());
///   auto picture = io::read_image("cat.png", {.alpha = true});
///   auto pixels = clip::preprocess(picture, model.preprocessing);
///   auto images = normalize(model.image->forward(pixels.unsqueeze(0)), -1);
///   auto texts = normalize(model.text->encode(token_ids), -1);
///   auto p = softmax(mul(matmul(images, texts.transpose(0, 1)), model.logit_scale), -1);

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tandem/clip/weights.hpp"
#include "tandem/io/filler.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

namespace detail {

/// An encoder without values, or, where the file may lack tensors, with those of a new model.
template <class Encoder, class Options>
Ref<Encoder> make_encoder(const Options& sizes, const LoadOptions& options) {
  Generator random(0);
  if (options.allow_missing) return make_ref<Encoder>(sizes, random);
  const nn::SkipInit skip;
  return make_ref<Encoder>(sizes, random);
}

inline bool is_image_tensor(const std::string& name) {
  return name.starts_with("visual.") || name.starts_with("vision_model.") ||
         name.starts_with("visual_projection.");
}

}  // namespace detail

/// Both encoders of a model, frozen.
template <FloatingElement T>
struct Clip {
  Ref<ImageEncoder<T>> image;
  Ref<TextEncoder<T>> text;
  T logit_scale = 100;              ///< what cosines are multiplied by before the softmax
  PreprocessOptions preprocessing;  ///< of its images
  io::Metadata metadata;  ///< of the file: source, hash of the original, preprocessing …
  WeightsReport report;
};

/// Loads both encoders. float32 tensors (with options.bfloat16 the bfloat16 ones) are used as they
/// lie in the mapped file, read-only; float16 and others are converted. Hugging Face's query, key
/// and value projections are joined. Errors: see WeightFile; tensors that are missing, of another
/// shape, not floating or not finite somewhere, by name.
template <FloatingElement T>
Clip<T> load(const std::string& path, const LoadOptions& options = {}) {
  const WeightFile file(path);
  Clip<T> out;
  out.image = detail::make_encoder<ImageEncoder<T>>(file.image_options(options), options);
  out.text = detail::make_encoder<TextEncoder<T>>(file.text_options(options), options);
  io::Filler filler(file, options.bfloat16, options.allow_missing, out.report);
  filler.fill(*out.image, "visual.");
  filler.fill(*out.text, "");
  if (file.contains("logit_scale") && file.file().at("logit_scale").numel() == 1) {
    double value = 0;
    file.file().at("logit_scale").copy_to(&value);
    if (!(value < 20 && is_finite(value)))
      file.error("tensor \"logit_scale\" is ", value, ", expected the logarithm of about 100");
    out.logit_scale = static_cast<T>(std::exp(value));
    filler.use("logit_scale");
  }
  filler.finish([](const std::string&) { return false; });
  const std::int64_t a = out.image->options().output, b = out.text->options().output;
  if (a != b)
    file.error("the image encoder's features have ", a, " columns, the text encoder's ", b);
  out.preprocessing = file.preprocessing(out.image->options().resolution);
  out.metadata = file.file().metadata();
  return out;
}

namespace detail {

/// One encoder of a file. Names for which `other` holds are of no concern to it.
template <class Encoder, class Sizes, class Other>
Ref<Encoder> load_one(const WeightFile& file, const Sizes& sizes, const std::string& prefix,
                      const LoadOptions& options, WeightsReport* report, const Other& other) {
  WeightsReport found;
  auto out = make_encoder<Encoder>(sizes, options);
  io::Filler filler(file, options.bfloat16, options.allow_missing, found);
  filler.fill(*out, prefix);
  filler.finish(other);
  if (report != nullptr) *report = std::move(found);
  return out;
}

}  // namespace detail

/// Loads the text encoder alone; the image side may be missing.
template <FloatingElement T>
Ref<TextEncoder<T>> load_text_encoder(const std::string& path, const LoadOptions& options = {},
                                      WeightsReport* report = nullptr) {
  const WeightFile file(path);
  return detail::load_one<TextEncoder<T>>(
      file, file.text_options(options), "", options, report, [](const std::string& name) {
        return detail::is_image_tensor(name) || name == "logit_scale";
      });
}

/// Loads the image encoder alone; the text side may be missing.
template <FloatingElement T>
Ref<ImageEncoder<T>> load_image_encoder(const std::string& path, const LoadOptions& options = {},
                                        WeightsReport* report = nullptr) {
  const WeightFile file(path);
  return detail::load_one<ImageEncoder<T>>(
      file, file.image_options(options), "visual.", options, report,
      [](const std::string& name) { return !detail::is_image_tensor(name); });
}

}  // namespace clip
TANDEM_NAMESPACE_END
