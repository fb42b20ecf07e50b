/// CLIP's and I3D's weights in every layout, and the configurations beside them. The models are as
/// small as they can be, so that an input takes no longer than its header.

#include "tandem/clip/load.hpp"
#include "tandem/i3d/load.hpp"
#include "tandem/wtal/data/text_files.hpp"
#include "targets.hpp"

namespace fuzz {
namespace {

const char* const open_clip_config = R"({"model_cfg": {"embed_dim": 4, "quick_gelu": true,
  "vision_cfg": {"image_size": 4, "layers": 1, "width": 4, "head_width": 2, "patch_size": 2},
  "text_cfg": {"context_length": 3, "vocab_size": 5, "width": 4, "heads": 2, "layers": 1}},
  "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}})";
const char* const hugging_face_config = R"({"model_type": "clip", "projection_dim": 4,
  "text_config": {"hidden_act": "quick_gelu", "hidden_size": 4, "intermediate_size": 4, "layer_norm_eps": 1e-05,
    "max_position_embeddings": 3, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 5},
  "vision_config": {"hidden_act": "quick_gelu", "hidden_size": 4, "image_size": 4, "intermediate_size": 4,
    "layer_norm_eps": 1e-05, "num_attention_heads": 2, "num_hidden_layers": 1, "patch_size": 2}})";
const char* const preprocessor_config =
    R"({"crop_size": {"height": 4, "width": 4}, "do_center_crop": true,
  "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
  "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.26, 0.27], "resample": 3, "rescale_factor": 0.00392156862745098,
  "size": {"shortest_edge": 4}})";

struct ClipSeeds {
  std::string openai, hugging_face;
};

ClipSeeds clip_seeds(const std::string& path) {
  Generator random(0);
  const clip::ImageEncoder<float> image(
      {.resolution = 4, .patch = 2, .width = 4, .layers = 1, .heads = 2, .hidden = 4, .output = 4},
      random);
  const clip::TextEncoder<float> text({.vocabulary = 5,
                                       .context = 3,
                                       .width = 4,
                                       .layers = 1,
                                       .heads = 2,
                                       .hidden = 4,
                                       .output = 4},
                                      random);
  std::vector<nn::Named<float>> all = text.state_dict();
  for (const nn::Named<float>& named : image.state_dict())
    all.push_back({"visual." + named.name, named.tensor});
  io::SafetensorsWriter openai, hugging_face;
  for (const nn::Named<float>& named : all) {
    const Tensor<float> x = named.tensor.detach();
    openai.add(named.name, x);
    const io::Pieces pieces = clip::hugging_face_pieces(named.name);
    const auto parts = static_cast<std::int64_t>(pieces.names.size());
    for (std::int64_t i = 0; i < parts; ++i) {
      const std::int64_t rows = x.size(0) / parts;
      const Tensor<float> part = parts == 1 ? x : x.slice(0, i * rows, (i + 1) * rows);
      hugging_face.add(pieces.names[static_cast<std::size_t>(i)],
                       pieces.transposed ? part.transpose(0, 1).contiguous() : part.contiguous());
    }
  }
  openai.metadata["activation"] = "quick_gelu";
  openai.metadata["image_heads"] = "2";
  openai.metadata["text_heads"] = "2";
  openai.metadata["mean"] = "[0.5, 0.5, 0.5]";
  ClipSeeds out;
  openai.save(path);
  out.openai = io::read_text(path);
  hugging_face.save(path);
  out.hugging_face = io::read_text(path);
  return out;
}

std::string i3d_seed(const std::string& path) {
  Generator random(0);
  const i3d::InceptionI3d<float> model(i3d::Config{.channels = 2, .classes = 1}.narrowed(1024),
                                       random);
  io::SafetensorsWriter out;
  for (const nn::Named<float>& named : model.state_dict())
    out.add(named.name, named.tensor.detach());
  out.metadata["window"] = "[1, 1, 1]";
  out.save(path);
  return io::read_text(path);
}

/// A folder with good weights in which one file is damaged.
void add_config(Targets& targets, const Places& places, const std::string& name,
                const std::string& weights, const char* weights_name, const char* config_name,
                const char* config, const char* other_name = nullptr, const char* other = nullptr) {
  const std::string folder = places.scratch + "/" + name;
  io::make_directories(folder);
  put(folder + "/" + weights_name, weights);
  if (other != nullptr) put(folder + "/" + other_name, other);
  const std::string path = folder + "/" + config_name;
  targets.push_back({name, {config}, [=](const std::string& s) {
                       put(path, s);
                       clip::load<float>(folder);
                     }});
}

}  // namespace

void add_weights_targets(Targets& targets, const Places& places) {
  const std::string path = places.scratch + "/weights.safetensors";
  const ClipSeeds seeds = clip_seeds(path);
  targets.push_back(
      {"clip_weights", {seeds.openai, seeds.hugging_face}, [path](const std::string& s) {
         put(path, s);
         clip::load<float>(path);
       }});
  add_config(targets, places, "open_clip_config", seeds.openai, "open_clip_model.safetensors",
             "open_clip_config.json", open_clip_config);
  add_config(targets, places, "hugging_face_config", seeds.hugging_face, "model.safetensors",
             "config.json", hugging_face_config);
  add_config(targets, places, "preprocessor_config", seeds.hugging_face, "model.safetensors",
             "preprocessor_config.json", preprocessor_config, "config.json", hugging_face_config);
  const std::string tokens = places.scratch + "/tokens.json";
  targets.push_back({"class_tokens",
                     {R"({"start": 3, "end": 4, "classes": {"Diving": [1, 2], "Jump": [0]}})"},
                     [tokens](const std::string& s) {
                       put(tokens, s);
                       wtal::load_class_tokens(tokens, {"Diving", "Jump"}, 5);
                     }});
  targets.push_back({"i3d_weights",
                     {i3d_seed(path)},
                     [path](const std::string& s) {
                       put(path, s);
                       i3d::load<float>(path, {.prepare = false});
                     },
                     1024,
                     true});
}

}  // namespace fuzz
