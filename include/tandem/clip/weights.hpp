#pragma once
/// What a CLIP checkpoint in safetensors holds: whose names it uses, the sizes of its encoders, and
/// its tensors under OpenAI's names.

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/clip/image_encoder.hpp"
#include "tandem/clip/preprocess.hpp"
#include "tandem/clip/text_encoder.hpp"
#include "tandem/io/filler.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/safetensors.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

using io::Pieces;
using io::WeightsReport;

struct LoadOptions {
  bool bfloat16 = false;  ///< keep the matrices as bfloat16 (encoders of float)
  bool allow_missing =
      false;  ///< tensors that the file lacks start as in a new model; else an error
  /// Facts that shapes do not tell, in place of the file's own.
  std::optional<Activation> activation = {};
  std::int64_t image_heads = 0, text_heads = 0;
};

/// "quick_gelu", or "gelu" (exact, with erf).
inline std::optional<Activation> activation_named(std::string_view name) {
  if (name == "quick_gelu") return Activation::quick_gelu;
  if (name == "gelu") return Activation::gelu;
  return std::nullopt;
}

namespace detail {

/// "12" of "12.ln_1.weight", and what follows the dot.
inline std::pair<std::string_view, std::string_view> split_layer(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {text, ""};
  return {text.substr(0, dot), text.substr(dot + 1)};
}

/// The first pair whose key starts `text`, as its value and the rest of the text.
struct Renamed {
  std::string_view from, to;
};
template <std::size_t N>
std::optional<std::string> rename(std::string_view text, const Renamed (&table)[N]) {
  for (const Renamed& row : table) {
    if (text.starts_with(row.from)) return std::string(row.to) += text.substr(row.from.size());
  }
  return std::nullopt;
}

inline constexpr Renamed hugging_face_tensors[] = {
    {"visual.class_embedding", "vision_model.embeddings.class_embedding"},
    {"visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"},
    {"visual.conv1.", "vision_model.embeddings.patch_embedding."},
    {"visual.ln_pre.", "vision_model.pre_layrnorm."},  // their spelling
    {"visual.ln_post.", "vision_model.post_layernorm."},
    {"visual.proj", "visual_projection.weight"},
    {"token_embedding.", "text_model.embeddings.token_embedding."},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
    {"ln_final.", "text_model.final_layer_norm."},
    {"text_projection", "text_projection.weight"}};
inline constexpr Renamed hugging_face_layers[] = {
    {"visual.transformer.resblocks.", "vision_model.encoder.layers."},
    {"transformer.resblocks.", "text_model.encoder.layers."}};
inline constexpr Renamed hugging_face_parts[] = {{"ln_1.", "layer_norm1."},
                                                 {"ln_2.", "layer_norm2."},
                                                 {"attn.out_proj.", "self_attn.out_proj."},
                                                 {"mlp.c_fc.", "mlp.fc1."},
                                                 {"mlp.c_proj.", "mlp.fc2."}};

}  // namespace detail

/// Where a Hugging Face CLIPModel keeps the tensor that OpenAI's release calls `name`.
inline Pieces hugging_face_pieces(const std::string& name) {
  if (const auto layer = detail::rename(name, detail::hugging_face_layers)) {
    const std::size_t digits = layer->find("layers.") + 7;
    const auto [number, part] = detail::split_layer(std::string_view(*layer).substr(digits));
    const std::string before = layer->substr(0, digits) + std::string(number) + ".";
    constexpr std::string_view joint = "attn.in_proj_";
    if (part.starts_with(joint)) {
      Pieces out;
      for (const char* which : {"q", "k", "v"}) {
        out.names.push_back(
            concat(before, "self_attn.", which, "_proj.", part.substr(joint.size())));
      }
      return out;
    }
    if (const auto renamed = detail::rename(part, detail::hugging_face_parts))
      return {{before + *renamed}};
    return {{name}};
  }
  const auto renamed = detail::rename(name, detail::hugging_face_tensors);
  return {{renamed ? *renamed : name}, name == "visual.proj" || name == "text_projection"};
}

/// A CLIP checkpoint: a safetensors file with OpenAI's names (weights/convert.py, open_clip) or
/// with those of a Hugging Face CLIPModel, or a folder with such a file.
///
///   clip::WeightFile file("ViT-B-16.safetensors");
///   clip::ImageEncoderOptions sizes = file.image_options({});
///
/// Sizes follow from the shapes. Activation and heads come from LoadOptions, else from the file's
/// metadata ("activation", "image_heads", "text_heads"), else from config.json (Hugging Face) or
/// open_clip_config.json beside the file; heads at last are width/64, as in every model up to L/14.
///
/// Errors, each one sentence with the file and, where there is one, the tensor: no safetensors
/// file, another architecture, a tensor that is missing or of another rank, an activation nobody
/// names.
class WeightFile {
 public:
  explicit WeightFile(const std::string& path) : file_(resolve(path)) {
    hugging_face_ = file_.contains("vision_model.embeddings.patch_embedding.weight") ||
                    file_.contains("text_model.embeddings.token_embedding.weight");
    for (const std::string& name : file_.names()) {
      if (name.starts_with("visual.layer1.") || name.starts_with("visual.trunk.") ||
          name.starts_with("vision_model.head.")) {
        error("tensor \"", name,
              "\" belongs to another kind of image encoder; only CLIP's own vision "
              "transformers (ViT) are supported");
      }
    }
    if (!hugging_face_ && !file_.contains("visual.conv1.weight") &&
        !file_.contains("token_embedding.weight")) {
      const std::vector<std::string> names = file_.names();
      error(
          "this is no CLIP checkpoint: there is neither \"visual.conv1.weight\" nor "
          "\"token_embedding.weight\" (OpenAI, open_clip) nor \"vision_model.…\" (Hugging Face)",
          names.empty() ? "" : concat(", the first tensor is \"", names[0], "\""));
    }
    read_config();
  }

  const std::string& path() const { return file_.path(); }
  const io::SafetensorsFile& file() const { return file_; }
  bool is_hugging_face() const { return hugging_face_; }

  /// The checkpoint's tensors for one of ours, by OpenAI's name.
  Pieces pieces(const std::string& name) const {
    return hugging_face_ ? hugging_face_pieces(name) : Pieces{{name}};
  }
  bool contains(const std::string& name) const {
    for (const std::string& piece : pieces(name).names) {
      if (!file_.contains(piece)) return false;
    }
    return true;
  }

  ImageEncoderOptions image_options(const LoadOptions& options) const {
    ImageEncoderOptions out;
    const auto conv = shape("visual.conv1.weight", 4);
    const auto positions = shape("visual.positional_embedding", 2);
    out.width = conv[0];
    out.patch = conv[3];
    const std::int64_t cells = positions[0] - 1;
    const auto side = static_cast<std::int64_t>(
        std::llround(std::sqrt(static_cast<double>(cells > 0 ? cells : 0))));
    if (side < 1 || side * side != cells || out.patch < 1 || out.patch > 4096) {
      error("tensor \"", name_of("visual.positional_embedding"), "\" has ", positions[0],
            " rows, expected one more than a square number of patches");
    }
    out.resolution = side * out.patch;
    out.output = shape("visual.proj", 2)[1];
    out.layers = layers("visual.transformer.resblocks.");
    out.hidden = shape("visual.transformer.resblocks.0.mlp.c_fc.weight", 2)[0];
    out.heads = heads("image", out.width, options.image_heads, config_image_heads_);
    out.activation = activation(options);
    return out;
  }

  TextEncoderOptions text_options(const LoadOptions& options) const {
    TextEncoderOptions out;
    const auto tokens = shape("token_embedding.weight", 2);
    out.vocabulary = tokens[0];
    out.width = tokens[1];
    out.context = shape("positional_embedding", 2)[0];
    out.output = shape("text_projection", 2)[1];
    out.layers = layers("transformer.resblocks.");
    out.hidden = shape("transformer.resblocks.0.mlp.c_fc.weight", 2)[0];
    out.heads = heads("text", out.width, options.text_heads, config_text_heads_);
    out.activation = activation(options);
    return out;
  }

  /// How images of `resolution` are prepared for this model: mean and deviation come from the
  /// metadata or the config beside the file, else they are OpenAI's.
  PreprocessOptions preprocessing(std::int64_t resolution) const {
    PreprocessOptions out;
    out.size = out.crop = resolution;
    read_triple("mean", out.mean);
    read_triple("std", out.std);
    return out;
  }

  template <class... Words>
  [[noreturn]] void error(const Words&... words) const {
    fail("clip", path(), ": ", words...);
  }

 private:
  static std::string resolve(const std::string& path) {
    if (io::is_directory(path)) {
      for (const char* name : {"model.safetensors", "open_clip_model.safetensors"}) {
        if (std::string inside = io::join_path(path, name); io::is_file(inside)) return inside;
      }
      fail("clip", path,
           ": the folder holds neither model.safetensors nor open_clip_model.safetensors");
    }
    const auto file = io::MappedFile::open(path);
    const std::string_view start = file->text().substr(0, 4);
    TANDEM_CHECK(
        !start.starts_with("PK") && !start.starts_with("\x80\x02"), "clip", path,
        ": this is a PyTorch archive; weights/convert.py clip makes a safetensors file of it");
    return path;
  }

  /// The shape under OpenAI's name and in its orientation.
  std::vector<std::int64_t> shape(const std::string& name, std::size_t rank) const {
    const Pieces from = pieces(name);
    const std::string& first = from.names[0];
    if (!file_.contains(first)) error("tensor \"", first, "\" is missing");
    std::vector<std::int64_t> sizes = file_.at(first).shape;
    bool positive = true;
    for (const std::int64_t size : sizes) positive = positive && size > 0;
    if (sizes.size() != rank || !positive) {
      error("tensor \"", first, "\" has shape ", io::shape_text(sizes), ", expected ", rank,
            " dimensions, none of them 0");
    }
    if (from.transposed) std::swap(sizes[0], sizes[1]);
    return sizes;
  }
  std::string name_of(const std::string& name) const { return pieces(name).names[0]; }

  std::int64_t layers(const std::string& prefix) const {
    std::int64_t count = 0;
    while (file_.contains(name_of(concat(prefix, count, ".ln_1.weight")))) ++count;
    if (count == 0) error("tensor \"", name_of(prefix + "0.ln_1.weight"), "\" is missing");
    return count;
  }

  std::int64_t heads(const char* side, std::int64_t width, std::int64_t wanted,
                     std::int64_t configured) const {
    std::int64_t count = wanted;
    if (count == 0) count = metadata_integer(concat(side, "_heads"));
    if (count == 0) count = configured;
    if (count == 0 && width % 64 == 0 && width <= 1024) count = width / 64;
    if (count == 0) {
      error("the file does not say how many heads the ", side, " encoder of width ", width,
            " has (metadata \"", side, "_heads\", or a config beside it)");
    }
    if (count < 1 || width % count != 0) {
      error("the ", side, " encoder's width of ", width, " does not divide into ", count, " heads");
    }
    return count;
  }
  std::int64_t metadata_integer(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) return 0;
    return io::JsonDocument::parse(found->second, concat(path(), " (", key, ")"))
        .root()
        .integer(1, 1 << 20);
  }

  void read_triple(const char* key, std::array<float, 3>& to) const {
    const auto read = [&to](const io::JsonRef& values) {
      for (std::size_t c = 0; c < 3; ++c) to[c] = static_cast<float>(values.at(c).number());
    };
    const auto found = file_.metadata().find(key);
    if (found != file_.metadata().end()) {
      read(io::JsonDocument::parse(found->second, concat(path(), " (", key, ")")).root());
      return;
    }
    const std::string config =
        beside(hugging_face_ ? "preprocessor_config.json" : "open_clip_config.json");
    if (!io::is_file(config)) return;
    const io::JsonDocument document = io::JsonDocument::load(config);
    std::optional<io::JsonRef> values =
        document.root().find(hugging_face_ ? concat("image_", key) : "preprocess_cfg");
    if (values && !hugging_face_) values = values->find(key);
    if (values) read(*values);
  }
  std::string beside(const std::string& name) const {
    const std::size_t slash = path().rfind('/');
    return slash == std::string::npos ? name : path().substr(0, slash + 1) + name;
  }

  Activation activation(const LoadOptions& options) const {
    if (options.activation) return *options.activation;
    std::string name = config_activation_;
    const auto found = file_.metadata().find("activation");
    if (found != file_.metadata().end()) name = found->second;
    if (name.empty()) {
      error(
          "nothing says which activation the model was trained with: give quick_gelu (OpenAI's "
          "models) "
          "or gelu (most of open_clip's), or put ",
          hugging_face_ ? "config.json" : "open_clip_config.json", " beside the file");
    }
    const auto known = activation_named(name);
    if (!known) error("the activation \"", name, "\" is neither quick_gelu nor gelu");
    return *known;
  }

  /// config.json of a Hugging Face model, whose missing keys mean transformers' defaults, or
  /// open_clip_config.json.
  void read_config() {
    const std::string config = beside(hugging_face_ ? "config.json" : "open_clip_config.json");
    if (!io::is_file(config)) return;
    const io::JsonDocument document = io::JsonDocument::load(config);
    const auto number = [](std::optional<io::JsonRef> from, const char* key,
                           std::int64_t otherwise) {
      if (from) from = from->find(key);
      return from ? from->integer(1, 1 << 20) : otherwise;
    };
    if (hugging_face_) {
      const io::JsonRef root = document.root();
      const auto image = root.find("vision_config"), text = root.find("text_config");
      config_image_heads_ = number(image, "num_attention_heads", 12);
      config_text_heads_ = number(text, "num_attention_heads", 8);
      for (const auto& side : {image, text}) {
        const auto value = side ? side->find("hidden_act") : std::nullopt;
        const std::string name = value ? value->string() : "quick_gelu";
        if (!config_activation_.empty() && name != config_activation_) {
          error("the two encoders have different activations, \"", config_activation_, "\" and \"",
                name, "\"");
        }
        config_activation_ = name;
      }
      return;
    }
    const io::JsonRef model = document.root().at("model_cfg");
    const auto quick = model.find("quick_gelu");
    config_activation_ = quick && quick->boolean() ? "quick_gelu" : "gelu";
    const auto image = model.find("vision_cfg");
    const std::int64_t width = number(image, "width", 768);
    config_image_heads_ = width / number(image, "head_width", 64);
    config_text_heads_ = number(model.find("text_cfg"), "heads", 8);
  }

  io::SafetensorsFile file_;
  bool hugging_face_ = false;
  std::string config_activation_;
  std::int64_t config_image_heads_ = 0, config_text_heads_ = 0;
};

}  // namespace clip
TANDEM_NAMESPACE_END
