#pragma once
/// Loading CLIP's weights: safetensors files that weights/convert.py wrote, that open_clip saved,
/// or that a Hugging Face CLIPModel saved, without copying what can be used as it lies in the file.
///
///   const auto model = clip::load<float>("ViT-B-16.safetensors");
///   std::puts(model.report.str().c_str());
///   Tensor<float> pixels = clip::preprocess(io::read_image("cat.jpg", {.alpha = true}),
///   model.preprocessing); Tensor<float> images =
///   normalize(model.image->forward(pixels.unsqueeze(0)), -1); Tensor<float> texts =
///   normalize(model.text->encode(token_ids), -1); Tensor<float> p = softmax(mul(matmul(images,
///   texts.transpose(0, 1)), model.logit_scale), -1);

#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/clip/weights.hpp"
#include "tandem/cpu/convert.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// What became of a checkpoint's tensors.
struct WeightsReport {
  std::vector<std::string> used;     ///< names in the file
  std::vector<std::string> missing;  ///< the encoders have it, the file does not (allow_missing)
  std::vector<std::string> unused;   ///< the file has it, no encoder does
  std::int64_t mapped_bytes = 0;     ///< used as they lie in the mapped file
  std::int64_t copied_bytes = 0;     ///< converted, joined or transposed into memory of their own
  /// One line for people.
  std::string str() const {
    std::string out = concat(used.size(), " tensors used, ", mapped_bytes / 1000000, " MB mapped, ",
                             copied_bytes / 1000000, " MB converted");
    for (const auto& [what, names] :
         {std::pair{"missing", &missing}, std::pair{"unused", &unused}}) {
      if (names->empty()) continue;
      out += concat("; ", names->size(), " ", what, ":");
      for (const std::string& name : *names) out += " " + name;
    }
    return out;
  }
};

namespace detail {

/// The elements of `from` as T at `to`, in row-major order.
template <FloatingElement T>
void copy_elements(const io::Array& from, T* to) {
  const std::int64_t n = from.numel();
  const bool plain = !from.swapped && !from.column_major &&
                     reinterpret_cast<std::uintptr_t>(from.data) % from.item_size == 0;
  const auto* half = reinterpret_cast<const std::uint16_t*>(from.data);
  if constexpr (std::is_same_v<T, float>) {
    if (plain && from.kind == io::ElementKind::f16) return cpu::widen_half(half, to, n);
    if (plain && from.kind == io::ElementKind::bf16) {
      return cpu::widen(reinterpret_cast<const bfloat16*>(from.data), to, n);
    }
  }
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (plain && from.kind == io::ElementKind::f32) {
      return cpu::round_to_bfloat16(reinterpret_cast<const float*>(from.data), to, n);
    }
    if (plain && from.kind == io::ElementKind::f16) {
      const Tensor<float> wide(Shape{n});
      cpu::widen_half(half, wide.mutable_data(), n);
      return cpu::round_to_bfloat16(wide.data(), to, n);
    }
  }
  from.copy_to(to);
}

/// Puts the tensors of a checkpoint into the slots of a module.
class Filler {
 public:
  Filler(const WeightFile& file, const LoadOptions& options, WeightsReport& report)
      : file_(file), options_(options), report_(report) {}

  template <FloatingElement T>
  void fill(nn::Module<T>& module, const std::string& prefix) {
    for (const nn::Slot<T>& slot : module.slots()) {
      const std::string name = prefix + slot.name;
      const Pieces pieces = file_.pieces(name);
      if (!usable(pieces, slot.tensor->shape())) continue;
      if (slot.low != nullptr && options_.bfloat16) {
        *slot.low = make<bfloat16>(pieces, slot.tensor->shape());
        *slot.tensor = {};
      } else {
        *slot.tensor = make<T>(pieces, slot.tensor->shape());
      }
      for (const std::string& piece : pieces.names) use(piece);
    }
    module.freeze();
    module.eval();
  }
  void use(const std::string& name) {
    used_.insert(name);
    report_.used.push_back(name);
  }

  /// Throws for what was wrong; lists what was not used. Names for which `other` holds belong to an
  /// encoder that was not asked for.
  template <class F>
  void finish(F&& other) {
    if (!wrong_.empty()) file_.error(listed(wrong_, wrong_.size() == 1 ? "tensor " : "tensors "));
    if (!report_.missing.empty() && !options_.allow_missing) {
      std::vector<std::string> quoted;
      for (const std::string& name : report_.missing) quoted.push_back("\"" + name + "\"");
      file_.error(quoted.size(),
                  quoted.size() == 1 ? " tensor is missing: " : " tensors are missing: ",
                  listed(quoted, ""));
    }
    for (const std::string& name : file_.file().names()) {
      if (used_.count(name) == 0 && !other(name)) report_.unused.push_back(name);
    }
  }

 private:
  static std::string listed(const std::vector<std::string>& items, std::string out) {
    for (std::size_t i = 0; i < items.size() && i < 8; ++i) out += (i > 0 ? ", " : "") + items[i];
    if (items.size() > 8) out += concat(" and ", items.size() - 8, " more");
    return out;
  }

  bool usable(const Pieces& pieces, const Shape& shape) {
    std::vector<std::int64_t> expected(shape.begin(), shape.end());
    if (pieces.names.size() > 1) expected[0] /= static_cast<std::int64_t>(pieces.names.size());
    if (pieces.transposed) std::swap(expected[0], expected[1]);
    bool good = true;
    for (const std::string& name : pieces.names) {
      if (!file_.file().contains(name)) {
        report_.missing.push_back(name);
        good = false;
        continue;
      }
      const io::Array& array = file_.file().at(name);
      if (array.shape != expected) {
        wrong_.push_back(concat("\"", name, "\" has shape ", io::shape_text(array.shape),
                                ", expected ", io::shape_text(expected)));
        good = false;
      } else if (array.kind != io::ElementKind::f32 && array.kind != io::ElementKind::f16 &&
                 array.kind != io::ElementKind::bf16 && array.kind != io::ElementKind::f64) {
        wrong_.push_back(concat("\"", name, "\" holds ", io::kind_name(array.kind),
                                " elements, expected float32, float16 or bfloat16"));
        good = false;
      }
    }
    return good;
  }

  template <FloatingElement T>
  Tensor<T> make(const Pieces& pieces, const Shape& shape) {
    const auto bytes = shape.numel() * static_cast<std::int64_t>(sizeof(T));
    const io::Array& first = file_.file().at(pieces.names[0]);
    if (pieces.names.size() == 1 && !pieces.transposed && first.shareable<T>()) {
      report_.mapped_bytes += bytes;
      return first.tensor<T>();
    }
    report_.copied_bytes += bytes;
    const Tensor<T> out(pieces.transposed ? Shape{shape[1], shape[0]} : shape);
    T* to = out.mutable_data();
    for (const std::string& name : pieces.names) {
      const io::Array& array = file_.file().at(name);
      copy_elements(array, to);
      to += array.numel();
    }
    return pieces.transposed ? out.transpose(0, 1).contiguous() : out;
  }

  const WeightFile& file_;
  const LoadOptions& options_;
  WeightsReport& report_;
  std::set<std::string> used_;
  std::vector<std::string> wrong_;
};

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
/// shape or not floating, by name.
template <FloatingElement T>
Clip<T> load(const std::string& path, const LoadOptions& options = {}) {
  const WeightFile file(path);
  Clip<T> out;
  out.image = detail::make_encoder<ImageEncoder<T>>(file.image_options(options), options);
  out.text = detail::make_encoder<TextEncoder<T>>(file.text_options(options), options);
  detail::Filler filler(file, options, out.report);
  filler.fill(*out.image, "visual.");
  filler.fill(*out.text, "");
  if (file.contains("logit_scale") && file.file().at("logit_scale").numel() == 1) {
    double value = 0;
    file.file().at("logit_scale").copy_to(&value);
    if (!(value < 20))
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
  Filler filler(file, options, found);
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
