/// What the configurations beside CLIP's weights say is done, or refused by name: no key is passed
/// over.

#include <filesystem>
#include <initializer_list>

#include "../io/temp_dir.hpp"
#include "../ops/check.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/io/npz.hpp"

using namespace tandem;

namespace {

const std::string golden_folder = TANDEM_GOLDEN_DIR "/clip/";

/// A model folder whose JSON files can be changed.
struct Model {
  explicit Model(const std::string& name)
      : hugging_face(name == "hugging_face"), path(folder.path("m")) {
    std::filesystem::copy(golden_folder + name, path);
  }
  /// What loading says after setting `value` (JSON) at `where` ("/model_cfg/text_cfg/pool_type") of
  /// a file.
  std::string with(const std::string& where, const std::string& value, const char* file = nullptr) {
    if (file == nullptr) file = hugging_face ? "config.json" : "open_clip_config.json";
    const std::string name = path + "/" + file;
    const bool existed = io::is_file(name);
    const io::Json before = existed ? io::load_json(name) : io::Json::object();
    io::Json changed = before;
    changed[io::Json::json_pointer(where)] = io::Json::parse(value);
    io::save_json(name, changed);
    std::string said = check::message([&] { last = clip::load<float>(path); });
    if (existed) {
      io::save_json(name, before);
    } else {
      std::filesystem::remove(name);
    }
    const std::size_t at = said.find("/m/");
    return at == std::string::npos ? said : said.substr(at + 3);
  }
  tandem_test::TempDir folder;
  bool hugging_face;
  std::string path;
  clip::Clip<float> last;
};

std::vector<std::vector<std::int64_t>> texts(const io::Npz& file) {
  const Tensor<std::int64_t> ids = file.at("ids").tensor_as<std::int64_t>();
  const auto lengths = file.at("lengths").tensor_as<std::int64_t>().to_vector();
  std::vector<std::vector<std::int64_t>> out;
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    out.push_back(ids[static_cast<std::int64_t>(n)].to_vector());
    out.back().resize(static_cast<std::size_t>(lengths[n]));
  }
  return out;
}

double largest_difference(const Tensor<double>& a, const Tensor<double>& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.to_vector(), y = b.to_vector();
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::fabs(x[i] - y[i]));
  return most;
}

}  // namespace

TEST_CASE("config: epsilons and a text side that is not causal, as open_clip computes them") {
  const io::Npz inputs = io::Npz::open(TANDEM_GOLDEN_DIR "/clip.npz"),
                want = io::Npz::open(TANDEM_GOLDEN_DIR "/clip_variants.npz");
  for (const std::string name : {"eps", "all_see_all"}) {
    CAPTURE(name);
    Model source("open_clip");
    io::Json config = io::load_json(source.path + "/open_clip_config.json");
    if (name == "eps") {
      config["model_cfg"]["vision_cfg"]["norm_kwargs"]["eps"] = 1e-2;
      config["model_cfg"]["text_cfg"]["norm_kwargs"]["eps"] = 3e-2;
    } else {
      config["model_cfg"]["text_cfg"]["no_causal_mask"] = true;
    }
    io::save_json(source.path + "/open_clip_config.json", config);
    const auto model = clip::load<double>(source.path);
    const NoGrad no_grad;
    const Tensor<double> image = model.image->forward(inputs.at("images").tensor_as<double>());
    const Tensor<double> text = model.text->encode(texts(inputs));
    CHECK(largest_difference(image, want.at(name + ".image").tensor_as<double>()) < 1e-11);
    CHECK(largest_difference(text, want.at(name + ".text").tensor_as<double>()) < 1e-11);
    // The default is another model.
    const auto plain = clip::load<double>(golden_folder + "open_clip");
    CHECK(largest_difference(plain.text->encode(texts(inputs)), text) > 1e-4);
    if (name == "eps") continue;
    CHECK(check::message([&] {
            model.text->forward(zeros<double>({1, 5, 16}), {4});
          }) ==
          "[text_encoder] where every position sees all, texts must be padded to the context of "
          "12, got (1, 5, 16)");
    CHECK(check::message([&] {
            model.text->forward_packed(zeros<double>({5, 16}), nn::PackedRows({5}, 0));
          }).find("need a causal encoder") != std::string::npos);
  }
}

TEST_CASE("config: open_clip's keys are done, known to be without effect, or refused") {
  Model model("open_clip");
  const std::string file = "open_clip_config.json: ";
  const auto refused = [&](const std::string& where, const std::string& value,
                           const std::string& why) {
    CAPTURE(where);
    std::string dotted = where.substr(1);
    std::replace(dotted.begin(), dotted.end(), '/', '.');
    const std::string said = model.with(where, value);
    CHECK(said.starts_with(file + dotted + ": is " + value + ", "));
    CHECK(said.find(why) != std::string::npos);
  };
  const std::string absent = "the key must be absent", unknown = "this key is not known here";
  refused("/model_cfg/vision_cfg/pool_type", "\"avg\"", "expected \"tok\"");
  refused("/model_cfg/vision_cfg/attentional_pool", "true", "expected false");
  refused("/model_cfg/vision_cfg/no_ln_pre", "true", "expected false");
  refused("/model_cfg/vision_cfg/ls_init_value", "0.1", absent);
  refused("/model_cfg/vision_cfg/act_kwargs", "{\"approximate\":\"tanh\"}",
          "expected {}, {\"approximate\":\"none\"}");
  refused("/model_cfg/vision_cfg/norm_kwargs/elementwise_affine", "false", unknown);
  refused("/model_cfg/vision_cfg/timm_model_name", "\"vit\"", absent);
  refused("/model_cfg/vision_cfg/qk_norm", "true", "expected false");
  refused("/model_cfg/text_cfg/pool_type", "\"eos\"", "expected \"argmax\"");
  refused("/model_cfg/text_cfg/embed_cls", "true", "expected false");
  refused("/model_cfg/text_cfg/hf_model_name", "\"roberta\"", absent);
  refused("/model_cfg/text_cfg/tokenizer_kwargs", "{\"clean\":\"canonicalize\"}",
          "{\"clean\":\"lower\"}");
  refused("/model_cfg/text_cfg/something_new", "[1]", unknown);
  refused("/model_cfg/init_logit_bias", "-10", absent);
  refused("/model_cfg/multimodal_cfg", "{}", absent);
  refused("/something", "0", unknown);
  refused("/preprocess_cfg/resize_mode", "\"longest\"", "expected \"shortest\", \"squash\"");
  refused("/preprocess_cfg/interpolation", "\"nearest\"", "\"bicubic\", \"bilinear\"");
  refused("/preprocess_cfg/mode", "\"L\"", "expected \"RGB\"");
  refused("/preprocess_cfg/size", "64", "the encoder takes images of 32");
  refused("/model_cfg/vision_cfg/image_size", "64", "are those of 32");
  refused("/model_cfg/vision_cfg/layers", "4", "are those of 3");
  refused("/model_cfg/text_cfg/context_length", "77", "are those of 12");
  refused("/model_cfg/embed_dim", "512", "are those of 20");
  CHECK(model.with("/preprocess_cfg/mean", "[1, 2]").find("expected three numbers") !=
        std::string::npos);
  CHECK(model.with("/preprocess_cfg/size", "[32, 48]").find("is 32 x 48, expected a square") !=
        std::string::npos);
  CHECK(model.with("/model_cfg/vision_cfg", "7").find("vision_cfg") != std::string::npos);

  CHECK(model.with("/model_cfg/vision_cfg/patch_dropout", "0.5") == "");
  CHECK(model.with("/model_cfg/text_cfg/act_kwargs", "null") == "");
  CHECK(model.with("/preprocess_cfg/size", "[32, 32]") == "");
  CHECK_FALSE(model.last.preprocessing.squash);
  CHECK(model.with("/preprocess_cfg/resize_mode", "\"squash\"") == "");
  CHECK(model.last.preprocessing.squash);
  CHECK(model.last.preprocessing.filter == io::ResizeFilter::bicubic);
  CHECK(model.with("/preprocess_cfg/interpolation", "\"bilinear\"") == "");
  CHECK(model.last.preprocessing.filter == io::ResizeFilter::bilinear);
  CHECK(model.with("/preprocess_cfg/interpolation", "\"random\"") == "");
  CHECK(model.last.preprocessing.filter == io::ResizeFilter::bicubic);
}

TEST_CASE("config: Hugging Face's keys are done, known to be without effect, or refused") {
  Model model("hugging_face");
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(model.with("/vision_config/layer_norm_eps", "1e-3") == "");
  CHECK(model.last.image->options().epsilon == 1e-3);
  CHECK(model.last.text->options().epsilon == 1e-5);
  CHECK(has(model.with("/text_config/hidden_act", "\"gelu\""), "different activations"));
  CHECK(has(model.with("/text_config/hidden_act", "\"gelu_new\""), "different activations"));
  CHECK(has(model.with("/vision_config/num_channels", "4"),
            "config.json: vision_config.num_channels: is 4, "));
  CHECK(has(model.with("/vision_config/image_size", "224"),
            "vision_config.image_size: is 224, the tensors in "));
  CHECK(has(model.with("/text_config/intermediate_size", "65"), "are those of 64"));
  CHECK(has(model.with("/projection_dim", "21"), "are those of 20"));
  CHECK(has(model.with("/text_config/pruned_heads", "{\"0\":[1]}"),
            "is {\"0\":[1]}, which is not implemented"));
  CHECK(has(model.with("/quantization_config", "{}"), "the key must be absent"));
  CHECK(has(model.with("/auto_map", "{}"), "this key is not known here"));
  CHECK(has(model.with("/model_type", "\"siglip\""), "expected \"clip\""));
  CHECK(model.with("/text_config/temperature", "1.0") == "");
  CHECK(model.with("/text_config_dict", "null") == "");
  const std::string dict =
      R"({"hidden_act":"quick_gelu","layer_norm_eps":1e-5,"num_attention_heads":2})";
  CHECK(model.with("/text_config_dict", dict) == "");
  CHECK(has(model.with("/text_config_dict",
                       R"({"hidden_act":"gelu","layer_norm_eps":1e-5,"num_attention_heads":2})"),
            "text_config.hidden_act: is \"quick_gelu\", by text_config_dict it is \"gelu\""));
  // What it lacks has transformers' default, here 8 heads; OpenAI's own ViT-L/14 is written so.
  CHECK(has(model.with("/text_config_dict", R"({"hidden_size":16})"),
            "text_config.num_attention_heads: is 2, by text_config_dict it is 8"));
  CHECK(model.with("/text_config_dict", R"({"hidden_size":16,"num_attention_heads":2})") == "");

  const auto prepared = [&](const std::string& key, const std::string& value) {
    return model.with("/" + key, value, "preprocessor_config.json");
  };
  CHECK(has(prepared("resample", "0"),
            "preprocessor_config.json: resample: is 0, which is not implemented; expected 2, 3"));
  CHECK(has(prepared("do_resize", "false"), "expected true"));
  CHECK(has(prepared("do_rescale", "false"), "expected true"));
  CHECK(has(prepared("do_center_crop", "false"), "where only the short side is resized"));
  CHECK(has(prepared("rescale_factor", "0.0078"), "expected 1/255"));
  CHECK(has(prepared("crop_size", "224"), "is 224, the encoder takes images of 32"));
  CHECK(has(prepared("crop_size", R"({"height":32,"width":30})"), "expected a square"));
  CHECK(has(prepared("size", R"({"longest_edge":32})"), "this key is not known here"));
  CHECK(has(prepared("size", "30"), "less than the crop of 32"));
  CHECK(has(prepared("size", R"({"height":40,"width":40})"),
            "is 40, the encoder takes images of 32"));
  CHECK(has(prepared("image_processor_type", "\"SiglipImageProcessor\""),
            "is \"SiglipImageProcessor\""));
  CHECK(has(prepared("do_flip", "true"), "this key is not known here"));
  CHECK(prepared("size", R"({"shortest_edge":40})") == "");
  CHECK(model.last.preprocessing.size == 40);
  CHECK(model.last.preprocessing.crop == 32);
  CHECK(prepared("size", R"({"height":32,"width":32})") == "");
  CHECK(model.last.preprocessing.squash);
  CHECK(prepared("resample", "2") == "");
  CHECK(model.last.preprocessing.filter == io::ResizeFilter::bilinear);
  CHECK(prepared("do_normalize", "false") == "");
  CHECK(model.last.preprocessing.std == std::array<float, 3>{1, 1, 1});
}

TEST_CASE("config: the header of a converted file") {
  const tandem_test::TempDir folder;
  const io::SafetensorsFile source(golden_folder + "converted.safetensors");
  clip::Clip<float> last;
  const auto with = [&](const std::string& key, const std::string& value) {
    io::SafetensorsWriter out;
    for (const std::string& name : source.names()) out.add(name, source.get_as<float>(name));
    out.metadata = source.metadata();
    out.metadata[key] = value;
    out.save(folder.path("x.safetensors"));
    return check::message([&] { last = clip::load<float>(folder.path("x.safetensors")); });
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(has(with("format", "tandem clip 2"),
            "format: is \"tandem clip 2\", which is not implemented"));
  CHECK(has(with("pooling", "mean"), "pooling: is \"mean\", but this key is not known here"));
  CHECK(has(with("interpolation", "nearest"), "which is not implemented"));
  CHECK(with("interpolation", "bilinear") == "");
  CHECK(last.preprocessing.filter == io::ResizeFilter::bilinear);
  CHECK(with("resize", "squash") == "");
  CHECK(last.preprocessing.squash);
  CHECK(with("text_layer_norm_eps", "0.001") == "");
  CHECK(last.text->options().epsilon == 0.001);
  CHECK(with("causal", "false") == "");
  CHECK_FALSE(last.text->options().causal);
  CHECK(with("short_side", "36") == "");
  CHECK(last.preprocessing.size == 36);
  // Configs beside it are another file's.
  io::write_text(folder.path("open_clip_config.json"), R"({"model_cfg":{"unheard":1}})");
  CHECK(with("causal", "true") == "");
}

TEST_CASE("config: a model in several files") {
  const tandem_test::TempDir folder;
  const io::SafetensorsFile source(golden_folder + "open_clip/open_clip_model.safetensors");
  io::SafetensorsWriter parts[2];
  io::Json map = io::Json::object();
  std::size_t n = 0;
  for (const std::string& name : source.names()) {
    parts[n % 2].add(name, source.get_as<float>(name));
    map[name] = n++ % 2 == 0 ? "a.safetensors" : "b.safetensors";
  }
  parts[0].save(folder.path("a.safetensors"));
  parts[1].save(folder.path("b.safetensors"));
  io::save_json(folder.path("open_clip_model.safetensors.index.json"),
                io::Json{{"weight_map", map}});
  std::filesystem::copy(golden_folder + "open_clip/open_clip_config.json",
                        folder.path("open_clip_config.json"));
  const auto whole = clip::load<float>(golden_folder + "open_clip"),
             split = clip::load<float>(folder.path("."));
  CHECK(check::same(split.image->proj, whole.image->proj));
  CHECK(split.report.used.size() == whole.report.used.size());
  CHECK(split.report.copied_bytes == 0);
}
