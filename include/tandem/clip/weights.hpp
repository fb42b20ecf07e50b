#pragma once
/// What a CLIP checkpoint in safetensors holds: whose names it uses, the sizes of its encoders, and
/// its tensors under OpenAI's names.

#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/clip/config_rules.hpp"
#include "tandem/clip/hugging_face_names.hpp"
#include "tandem/clip/image_encoder.hpp"
#include "tandem/clip/preprocess.hpp"
#include "tandem/clip/text_encoder.hpp"
#include "tandem/io/filler.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/safetensors.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

using io::WeightsReport;

/// What to make of a checkpoint, and facts that it may not tell.
struct LoadOptions {
  bool bfloat16 = false;  ///< keep the matrices as bfloat16 (encoders of float)
  /// Tensors that the file lacks start as in a new model; else an error
  bool allow_missing = false;
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

  /// The path and the open file.
  const std::string& path() const { return file_.path(); }
  const io::SafetensorsFile& file() const { return file_; }
  /// True when the names are those of a Hugging Face CLIPModel.
  bool is_hugging_face() const { return hugging_face_; }

  /// The checkpoint's tensors for one of ours, by OpenAI's name.
  Pieces pieces(const std::string& name) const {
    return hugging_face_ ? hugging_face_pieces(name) : Pieces{{name}};
  }
  /// Whether the file has all of them.
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
    out.heads = heads("image", out.width, options.image_heads, config_.image_heads);
    out.activation = activation(options);
    out.epsilon = epsilon("image", config_.image_epsilon);
    expect(hugging_face_ ? "vision_config" : "model_cfg.vision_cfg",
           {{"layers", "num_hidden_layers", out.layers},
            {"width", "hidden_size", out.width},
            {"", "intermediate_size", out.hidden},
            {"patch_size", "patch_size", out.patch},
            {"image_size", "image_size", out.resolution}});
    expect(hugging_face_ ? "" : "model_cfg", {{"embed_dim", "projection_dim", out.output}});
    return out;
  }

  /// The sizes of the text encoder. Errors: a tensor is missing; config and shapes disagree.
  TextEncoderOptions text_options(const LoadOptions& options) const {
    TextEncoderOptions out;
    const auto tokens = shape("token_embedding.weight", 2);
    out.vocabulary = tokens[0];
    out.width = tokens[1];
    out.context = shape("positional_embedding", 2)[0];
    out.output = shape("text_projection", 2)[1];
    out.layers = layers("transformer.resblocks.");
    out.hidden = shape("transformer.resblocks.0.mlp.c_fc.weight", 2)[0];
    out.heads = heads("text", out.width, options.text_heads, config_.text_heads);
    out.activation = activation(options);
    out.epsilon = epsilon("text", config_.text_epsilon);
    out.causal = metadata("causal", config_.causal ? "true" : "false") != "false";
    expect(hugging_face_ ? "text_config" : "model_cfg.text_cfg",
           {{"layers", "num_hidden_layers", out.layers},
            {"width", "hidden_size", out.width},
            {"", "intermediate_size", out.hidden},
            {"context_length", "max_position_embeddings", out.context},
            {"vocab_size", "vocab_size", out.vocabulary}});
    expect(hugging_face_ ? "" : "model_cfg", {{"embed_dim", "projection_dim", out.output}});
    return out;
  }

  /// How images of `resolution` are prepared for this model: as the metadata or the config beside
  /// the file says, else as OpenAI's.
  PreprocessOptions preprocessing(std::int64_t resolution) const {
    PreprocessOptions out;
    out.size = out.crop = resolution;
    if (config_.preprocessing) read_preprocessing(config_.preprocessing->root(), out);
    for (const auto& [key, to] : {std::pair{"mean", &out.mean}, std::pair{"std", &out.std}}) {
      const auto found = file_.metadata().find(key);
      if (found == file_.metadata().end()) continue;
      read_triple(io::JsonDocument::parse(found->second, concat(path(), " (", key, ")")).root(),
                  *to);
    }
    const std::string by = metadata("interpolation", "");
    if (!by.empty())
      out.filter = by == "bilinear" ? io::ResizeFilter::bilinear : io::ResizeFilter::bicubic;
    out.squash = out.squash || metadata("resize", "") == "squash";
    if (const std::int64_t side = metadata_integer("short_side"); side != 0) out.size = side;
    return out;
  }

  /// Throws Error with the file's path before the words.
  template <class... Words>
  [[noreturn]] void error(const Words&... words) const {
    fail("clip", path(), ": ", words...);
  }

 private:
  static std::string resolve(const std::string& path) {
    if (io::is_directory(path)) {
      for (const char* name :
           {"model.safetensors", "open_clip_model.safetensors", "model.safetensors.index.json",
            "open_clip_model.safetensors.index.json"}) {
        if (std::string inside = io::join_path(path, name); io::is_file(inside)) return inside;
      }
      fail("clip", path,
           ": the folder holds neither model.safetensors nor open_clip_model.safetensors, nor an "
           "index of them");
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

  /// The value of a key of the header, or `otherwise`.
  std::string metadata(const std::string& key, const char* otherwise) const {
    const auto found = file_.metadata().find(key);
    return found == file_.metadata().end() ? otherwise : found->second;
  }
  double epsilon(const char* side, double configured) const {
    const auto found = file_.metadata().find(concat(side, "_layer_norm_eps"));
    if (found == file_.metadata().end()) return configured;
    return io::JsonDocument::parse(found->second, concat(path(), " (", found->first, ")"))
        .root()
        .number();
  }
  static void read_triple(const io::JsonRef& values, std::array<float, 3>& to) {
    if (values.array().size() != 3) values.error("expected three numbers, one of each channel");
    for (std::size_t c = 0; c < 3; ++c) to[c] = static_cast<float>(values.at(c).number());
  }
  /// A size that may be a number, [rows, columns] or {"height": …, "width": …}: both must be equal.
  static std::int64_t square(const io::JsonRef& value) {
    constexpr std::int64_t most = 1 << 14;
    if (!value.json().is_structured()) return value.integer(1, most);
    const bool list = value.json().is_array();
    if (list && value.size() != 2) value.error("expected [rows, columns]");
    const std::int64_t rows =
        (list ? value.at(std::size_t{0}) : value.at("height")).integer(1, most);
    const std::int64_t columns =
        (list ? value.at(std::size_t{1}) : value.at("width")).integer(1, most);
    if (rows != columns) value.error("is ", rows, " x ", columns, ", expected a square");
    return rows;
  }
  void read_preprocessing(const io::JsonRef& root, PreprocessOptions& out) const {
    std::optional<io::JsonRef> from = root;
    if (!hugging_face_) from = root.find("preprocess_cfg");
    if (!from) return;
    const auto find = [&](const char* open_clip, const char* theirs) {
      return from->find(hugging_face_ ? theirs : open_clip);
    };
    if (const auto mean = find("mean", "image_mean")) read_triple(*mean, out.mean);
    if (const auto std = find("std", "image_std")) read_triple(*std, out.std);
    const auto size = from->find("size");
    if (!hugging_face_) {
      if (size && square(*size) != out.crop) {
        size->error("is ", square(*size), ", the encoder takes images of ", out.crop);
      }
      out.squash = from->get("resize_mode", "shortest") == "squash";
      // Random: bicubic, but while training
      const std::string by = from->get("interpolation", "bicubic");
      out.filter = by == "bilinear" ? io::ResizeFilter::bilinear : io::ResizeFilter::bicubic;
      return;
    }
    out.filter =
        from->get("resample", 3) == 2 ? io::ResizeFilter::bilinear : io::ResizeFilter::bicubic;
    if (!from->get("do_normalize", true)) out.mean = {0, 0, 0}, out.std = {1, 1, 1};
    if (const auto factor = from->find("rescale_factor");
        factor && std::fabs(factor->number() * 255 - 1) > 1e-6) {
      factor->error("is ", factor->number(), ", which is not implemented; expected 1/255");
    }
    const auto crop = from->find("crop_size");
    const bool crops = from->get("do_center_crop", true);
    if (crops && crop && square(*crop) != out.crop) {
      crop->error("is ", square(*crop), ", the encoder takes images of ", out.crop);
    }
    const bool sides = size && size->json().is_object() && size->find("height");
    if (sides && size->find("shortest_edge"))
      size->error("expected either shortest_edge or height and width");
    if (sides) {
      out.squash = true;
      if (square(*size) != out.crop)
        size->error("is ", square(*size), ", the encoder takes images of ", out.crop);
    } else if (!crops) {
      from->at("do_center_crop")
          .error("is false, which is not implemented where only the short side is resized");
    } else if (size) {
      out.size = (size->json().is_object() ? size->at("shortest_edge") : *size).integer(1, 1 << 14);
      if (out.size < out.crop) size->error("is ", out.size, ", less than the crop of ", out.crop);
    }
  }
  std::string beside(const std::string& name) const {
    const std::size_t slash = path().rfind('/');
    return slash == std::string::npos ? name : path().substr(0, slash + 1) + name;
  }

  Activation activation(const LoadOptions& options) const {
    if (options.activation) return *options.activation;
    std::string name = config_.activation;
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

  /// A section of the config, "model_cfg.text_cfg"; nothing where it is missing.
  std::optional<io::JsonRef> section(std::string_view where) const {
    if (!config_.model) return std::nullopt;
    std::optional<io::JsonRef> at = config_.model->root();
    while (at && !where.empty()) {
      const std::string_view step = where.substr(0, where.find('.'));
      where.remove_prefix(std::min(step.size() + 1, where.size()));
      at = at->find(step);
    }
    return at;
  }

  /// Sizes that the config names, by open_clip's key and Hugging Face's, must be those of the
  /// tensors: where they are not, other software changes the tensors while loading, or means other
  /// files.
  struct Size {
    std::string_view open_clip, hugging_face;
    std::int64_t actual;
  };
  void expect(const std::string& where, std::initializer_list<Size> sizes) const {
    for (const std::string& name : {where, where + "_dict"}) {
      const auto side = section(name);
      if (!side || name == "_dict") continue;
      for (const Size& size : sizes) {
        const std::string_view key = hugging_face_ ? size.hugging_face : size.open_clip;
        const auto value = key.empty() ? std::nullopt : side->find(key);
        if (!value) continue;
        const std::int64_t said = square(*value);
        if (said != size.actual)
          value->error("is ", said, ", the tensors in ", path(), " are those of ", size.actual);
      }
    }
  }

  /// config.json of a Hugging Face model, whose missing keys mean transformers' defaults, or
  /// open_clip_config.json. The header of a file that weights/convert.py wrote says all of it.
  void read_config() {
    const auto format = file_.metadata().find("format");
    const bool converted = format != file_.metadata().end() && format->second.starts_with("tandem");
    io::Json header = io::Json::object();
    const io::Json& rules = detail::parsed_config_rules().at("header of the file").at("");
    for (const auto& [key, value] : file_.metadata()) {
      if (converted || (rules.contains(key) && key != "format")) header[key] = value;
    }
    detail::check_config({path(), std::move(header)}, "header of the file");
    if (converted) return;

    const char* name = hugging_face_ ? "config.json" : "open_clip_config.json";
    const auto load = [&](const char* file) -> std::optional<io::JsonDocument> {
      if (!io::is_file(beside(file))) return std::nullopt;
      io::JsonDocument document = io::JsonDocument::load(beside(file));
      detail::check_config(document, file);
      return document;
    };
    config_.model = load(name);
    if (hugging_face_) {
      config_.preprocessing = load("preprocessor_config.json");
    } else {
      config_.preprocessing = config_.model;
    }
    if (!config_.model) return;
    const auto number = [](std::optional<io::JsonRef> from, const char* key,
                           std::int64_t otherwise) {
      if (from) from = from->find(key);
      return from ? from->integer(1, 1 << 20) : otherwise;
    };
    if (hugging_face_) {
      const std::optional<io::JsonRef> image = side("vision_config"), text = side("text_config");
      config_.image_heads = number(image, "num_attention_heads", 12);
      config_.text_heads = number(text, "num_attention_heads", 8);
      config_.image_epsilon = image ? image->get("layer_norm_eps", 1e-5) : 1e-5;
      config_.text_epsilon = text ? text->get("layer_norm_eps", 1e-5) : 1e-5;
      for (const auto& from : {image, text}) {
        const std::string found = from ? from->get("hidden_act", "quick_gelu") : "quick_gelu";
        if (!config_.activation.empty() && found != config_.activation) {
          error("the two encoders have different activations, \"", config_.activation, "\" and \"",
                found, "\"");
        }
        config_.activation = found;
      }
      return;
    }
    const io::JsonRef model = config_.model->root().at("model_cfg");
    config_.activation = model.get("quick_gelu", false) ? "quick_gelu" : "gelu";
    const auto image = section("model_cfg.vision_cfg"), text = section("model_cfg.text_cfg");
    const std::int64_t width = number(image, "width", 768);
    config_.image_heads = width / number(image, "head_width", 64);
    config_.text_heads = number(text, "heads", 8);
    config_.causal = !(text && text->get("no_causal_mask", false));
    const auto image_norm = section("model_cfg.vision_cfg.norm_kwargs"),
               text_norm = section("model_cfg.text_cfg.norm_kwargs");
    if (image_norm) config_.image_epsilon = image_norm->get("eps", 1e-5);
    if (text_norm) config_.text_epsilon = text_norm->get("eps", 1e-5);
  }
  /// A side of config.json. Where there is a "…_dict" too, transformers uses that, with defaults
  /// for what it lacks; the two must agree.
  std::optional<io::JsonRef> side(const std::string& name) const {
    const auto plain = section(name), dict = section(name + "_dict");
    if (!plain || !dict) return dict ? dict : plain;
    const io::Json defaults{{"hidden_act", "quick_gelu"},
                            {"layer_norm_eps", 1e-5},
                            {"num_attention_heads", name == "vision_config" ? 12 : 8}};
    for (const auto& [key, otherwise] : defaults.items()) {
      const auto one = plain->find(key), two = dict->find(key);
      const io::Json& counts = two ? two->json() : otherwise;
      if (one && one->json() != counts) {
        one->error("is ", io::json_text(one->json()), ", by ", name, "_dict it is ",
                   io::json_text(counts));
      }
    }
    return dict;
  }

  /// What the files beside the weights say.
  struct Config {
    std::optional<io::JsonDocument> model, preprocessing;
    std::string activation;
    std::int64_t image_heads = 0, text_heads = 0;
    double image_epsilon = 1e-5, text_epsilon = 1e-5;
    bool causal = true;
  };

  io::SafetensorsFile file_;
  bool hugging_face_ = false;
  Config config_;
};

}  // namespace clip
TANDEM_NAMESPACE_END
