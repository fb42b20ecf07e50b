/// What the loader makes of checkpoints: mapped, converted, incomplete, of another kind, damaged.

#include "tandem/clip/load.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "../io/temp_dir.hpp"
#include "../ops/check.hpp"
#include "tandem/ops/normalize.hpp"

using namespace tandem;

namespace {

const std::string golden_files = TANDEM_GOLDEN_DIR "/clip/";

/// The tensors of a golden checkpoint as float, to be changed and written again.
struct Checkpoint {
  explicit Checkpoint(const std::string& path) {
    const io::SafetensorsFile file(path);
    for (const std::string& name : file.names()) tensors[name] = file.get_as<float>(name);
    metadata = file.metadata();
  }
  /// Writes all tensors as T, and of other types those that `others` adds.
  template <FloatingElement T>
  void save(const std::string& path,
            const std::function<void(io::SafetensorsWriter&)>& others = {}) const {
    io::SafetensorsWriter out;
    out.metadata = metadata;
    for (const auto& [name, tensor] : tensors) out.add(name, tensor.template to<T>());
    if (others) others(out);
    out.save(path);
  }
  std::map<std::string, Tensor<float>> tensors;
  io::Metadata metadata;
};

Checkpoint open_clip() {
  Checkpoint out(golden_files + "open_clip/open_clip_model.safetensors");
  out.metadata = {{"activation", "gelu"}, {"image_heads", "3"}, {"text_heads", "2"}};
  return out;
}

/// What loading a file says, without the part up to its name.
std::string refusal(const std::string& path, const clip::LoadOptions& options = {}) {
  const std::string message = check::message([&] { clip::load<float>(path, options); });
  const std::size_t at = message.find(": ");
  return at == std::string::npos ? message : message.substr(at + 2);
}

}  // namespace

TEST_CASE("load: sizes, heads and activation come from shapes, metadata and configs") {
  for (const char* path : {"open_clip", "hugging_face", "converted.safetensors"}) {
    INFO(path);
    const clip::WeightFile file(golden_files + path);
    const clip::ImageEncoderOptions image = file.image_options({});
    CHECK(image.resolution == 32);
    CHECK(image.patch == 8);
    CHECK(image.width == 24);
    CHECK(image.layers == 3);
    CHECK(image.heads == 3);
    CHECK(image.output == 20);
    const clip::TextEncoderOptions text = file.text_options({});
    CHECK(text.vocabulary == 60);
    CHECK(text.context == 12);
    CHECK(text.width == 16);
    CHECK(text.layers == 3);
    CHECK(text.heads == 2);
    CHECK(text.output == 20);
    CHECK((image.activation == Activation::quick_gelu) == (std::string(path) != "open_clip"));
    CHECK(image.activation == text.activation);
    const clip::ImageEncoderOptions forced =
        file.image_options({.activation = Activation::relu, .image_heads = 6});
    CHECK(forced.activation == Activation::relu);
    CHECK(forced.heads == 6);
  }
  const clip::PreprocessOptions standard;
  for (const char* path : {"open_clip", "hugging_face", "converted.safetensors"}) {
    const clip::PreprocessOptions images = clip::load<float>(golden_files + path).preprocessing;
    CHECK(images.size == 32);
    CHECK(images.crop == 32);
    CHECK(images.mean == standard.mean);
    CHECK(images.std == standard.std);
  }
  const io::Metadata facts = clip::load<float>(golden_files + "converted.safetensors").metadata;
  CHECK(facts.at("source") == "mini.pt");
  CHECK(facts.at("source_kind") == "OpenAI TorchScript archive");
  CHECK(facts.at("source_sha256").size() == 64);
  CHECK(facts.at("mean") == "[0.48145466, 0.4578275, 0.40821073]");
  CHECK(facts.at("interpolation") == "bicubic");
}

TEST_CASE("load: what fits is mapped, the rest is converted") {
  const tandem_test::TempDir folder;
  const Checkpoint source = open_clip();
  source.save<float>(folder.path("float.safetensors"));
  source.save<bfloat16>(folder.path("low.safetensors"));
  const auto exact = clip::load<float>(folder.path("float.safetensors"));
  CHECK(exact.report.copied_bytes == 0);
  CHECK(exact.report.mapped_bytes > 0);
  CHECK_FALSE(exact.text->text_projection.storage()->writable());
  CHECK(check::message([&] { exact.text->text_projection.mutable_data(); }).find("read-only") !=
        std::string::npos);

  const auto low = clip::load<float>(folder.path("low.safetensors"), {.bfloat16 = true});
  CHECK_FALSE(low.text->token_embedding.weight.bf16().storage()->writable());
  CHECK(low.report.mapped_bytes > low.report.copied_bytes);
  const auto rounded = clip::load<float>(folder.path("float.safetensors"), {.bfloat16 = true});
  CHECK(check::same(low.text->token_embedding.weight.bf16(),
                    rounded.text->token_embedding.weight.bf16()));

  const auto widened = clip::load<float>(folder.path("low.safetensors"));
  CHECK(check::same(widened.image->proj,
                    source.tensors.at("visual.proj").to<bfloat16>().to<float>()));
  const auto joined = clip::load<float>(golden_files + "hugging_face");
  CHECK(joined.report.copied_bytes > 0);
  CHECK(joined.report.str().find("tensors used") != std::string::npos);
  // The file may be gone while its tensors are used.
  std::filesystem::remove(folder.path("float.safetensors"));
  CHECK(check::same(exact.image->proj, source.tensors.at("visual.proj")));
}

TEST_CASE("load: mean and deviation of a model that has its own") {
  const tandem_test::TempDir folder;
  Checkpoint source = open_clip();
  source.metadata["mean"] = "[0.5, 0.25, 0.125]";
  source.save<float>(folder.path("x.safetensors"));
  CHECK(clip::load<float>(folder.path("x.safetensors")).preprocessing.mean ==
        std::array<float, 3>{0.5F, 0.25F, 0.125F});
  std::filesystem::copy(golden_files + "hugging_face", folder.path("hf"),
                        std::filesystem::copy_options::recursive);
  std::ofstream(folder.path("hf/preprocessor_config.json")) << R"({"image_std": [0.5, 0.25, 1]})";
  CHECK(clip::load<float>(folder.path("hf")).preprocessing.std ==
        std::array<float, 3>{0.5F, 0.25F, 1});
}

TEST_CASE("load: one encoder alone") {
  const tandem_test::TempDir folder;
  Checkpoint source = open_clip();
  std::erase_if(source.tensors, [](const auto& item) { return item.first.starts_with("visual."); });
  source.tensors["extra"] = zeros<float>({1});
  source.save<float>(folder.path("text.safetensors"));
  clip::WeightsReport report;
  const auto text = clip::load_text_encoder<float>(folder.path("text.safetensors"), {}, &report);
  CHECK(report.unused == std::vector<std::string>{"extra"});
  CHECK(text->options().layers == 3);
  CHECK(refusal(folder.path("text.safetensors")) == "tensor \"visual.conv1.weight\" is missing");
  const auto image = clip::load_image_encoder<float>(golden_files + "hugging_face", {}, &report);
  CHECK(report.unused.empty());
  CHECK(image->options().heads == 3);
}

TEST_CASE("load: tensors that are missing, of another shape or type are named") {
  const tandem_test::TempDir folder;
  const std::string path = folder.path("x.safetensors");
  const auto with = [&](const std::function<void(Checkpoint&)>& change) {
    Checkpoint source = open_clip();
    change(source);
    source.save<float>(path);
    return refusal(path);
  };
  CHECK(with([](Checkpoint&) {}) == "");
  CHECK(with([](Checkpoint& c) { c.tensors.erase("visual.transformer.resblocks.1.ln_2.bias"); }) ==
        "1 tensor is missing: \"visual.transformer.resblocks.1.ln_2.bias\"");
  CHECK(with([](Checkpoint& c) {
          c.tensors.erase("visual.class_embedding");
          c.tensors.erase("ln_final.weight");
        }) == "2 tensors are missing: \"visual.class_embedding\", \"ln_final.weight\"");
  CHECK(with([](Checkpoint& c) { c.tensors["visual.ln_pre.weight"] = zeros<float>({23}); }) ==
        "tensor \"visual.ln_pre.weight\" has shape (23,), expected (24,)");
  CHECK(with([](Checkpoint& c) { c.tensors["text_projection"] = zeros<float>({16}); }) ==
        "tensor \"text_projection\" has shape (16,), expected 2 dimensions, none of them 0");
  CHECK(with([](Checkpoint& c) {
          c.tensors["visual.positional_embedding"] = zeros<float>({16, 24});
        }) ==
        "tensor \"visual.positional_embedding\" has 16 rows, expected one more than a square "
        "number of patches");
  CHECK(with([](Checkpoint& c) {
          c.tensors["visual.proj"] = zeros<float>({24, 19});
        }) == "the image encoder's features have 19 columns, the text encoder's 20");
  CHECK(with([](Checkpoint& c) { c.tensors["logit_scale"] = full<float>({}, 50); }) ==
        "tensor \"logit_scale\" is 50, expected the logarithm of about 100");

  Checkpoint typed = open_clip();
  typed.tensors.erase("ln_final.bias");
  typed.save<float>(path, [](io::SafetensorsWriter& out) {
    out.add("ln_final.bias", zeros<std::int64_t>({16}));
  });
  CHECK(refusal(path) ==
        "tensor \"ln_final.bias\" holds int64 elements, expected float32, float16 or bfloat16");

  // Allowed to be missing: as in a new model.
  Checkpoint partial = open_clip();
  partial.tensors.erase("visual.ln_post.weight");
  partial.save<float>(path);
  const auto model = clip::load<float>(path, {.allow_missing = true});
  CHECK(model.report.missing == std::vector<std::string>{"visual.ln_post.weight"});
  CHECK(check::same(model.image->ln_post.weight, ones<float>({24})));
  CHECK(check::same(model.image->proj, partial.tensors.at("visual.proj")));
}

TEST_CASE("load: a number that is not finite is named before anything is computed with it") {
  const tandem_test::TempDir folder;
  const std::string path = folder.path("x.safetensors");
  Checkpoint source = open_clip();
  source.tensors["visual.proj"].mutable_data()[7] = std::numeric_limits<float>::quiet_NaN();
  source.tensors["token_embedding.weight"].mutable_data()[0] =
      -std::numeric_limits<float>::infinity();
  source.save<float>(path);
  const std::string text =
                        "\"token_embedding.weight\" is -inf at element 0, expected finite numbers",
                    image = "\"visual.proj\" is nan at element 7, expected finite numbers";
  CHECK(refusal(path) == "tensors " + image + ", " + text);  // mapped
  CHECK(refusal(path, {.bfloat16 = true}) == "tensors " + image + ", " + text);
  source.save<bfloat16>(path);
  CHECK(refusal(path) == "tensors " + image + ", " + text);  // converted
  // One encoder alone reads, and looks at, its own tensors.
  CHECK(check::message([&] { clip::load_text_encoder<float>(path); }).find("tensor " + text) !=
        std::string::npos);
  CHECK(check::message([&] { clip::load_image_encoder<float>(path); }).find("tensor " + image) !=
        std::string::npos);
  // Finite in the file, but not in the type that they are kept in.
  Checkpoint large = open_clip();
  large.tensors["token_embedding.weight"].mutable_data()[3] = std::numeric_limits<float>::max();
  large.save<float>(path);
  CHECK(refusal(path) == "");
  CHECK(refusal(path, {.bfloat16 = true}) ==
        "tensor \"token_embedding.weight\" is 3.4028234663852886e+38 at element 3, which bfloat16 "
        "does not "
        "hold");
  large = open_clip();
  large.tensors["logit_scale"] = full<float>({}, -std::numeric_limits<float>::infinity());
  large.save<float>(path);
  CHECK(refusal(path) == "tensor \"logit_scale\" is -inf, expected the logarithm of about 100");
}

TEST_CASE("load: a projection of a Hugging Face file that is not finite") {
  const tandem_test::TempDir folder;
  std::filesystem::copy(golden_files + "hugging_face", folder.path("hf"),
                        std::filesystem::copy_options::recursive);
  const std::string file = folder.path("hf/model.safetensors");
  Checkpoint source(file);
  const std::string name = "text_model.encoder.layers.1.self_attn.k_proj.weight";
  source.tensors.at(name).mutable_data()[17] = std::numeric_limits<float>::infinity();
  source.save<float>(file);
  CHECK(refusal(folder.path("hf")) ==
        "tensor \"" + name + "\" is inf at element 17, expected finite numbers");
}

TEST_CASE("load: an activation or heads that nothing names are not guessed") {
  const tandem_test::TempDir folder;
  const std::string path = folder.path("x.safetensors");
  Checkpoint source = open_clip();
  source.metadata.erase("activation");
  source.save<float>(path);
  CHECK(refusal(path) ==
        "nothing says which activation the model was trained with: give quick_gelu (OpenAI's "
        "models) or "
        "gelu (most of open_clip's), or put open_clip_config.json beside the file");
  CHECK(refusal(path, {.activation = Activation::gelu}) == "");
  source.metadata["activation"] = "swish";
  source.save<float>(path);
  CHECK(refusal(path) == "the activation \"swish\" is neither quick_gelu nor gelu");
  source.metadata = {{"activation", "gelu"}, {"image_heads", "5"}};
  source.save<float>(path);
  CHECK(refusal(path) == "the image encoder's width of 24 does not divide into 5 heads");
  source.metadata.erase("image_heads");
  source.save<float>(path);
  CHECK(refusal(path) ==
        "the file does not say how many heads the image encoder of width 24 has (metadata "
        "\"image_heads\", or a config beside it)");
}

TEST_CASE("load: files of another kind and damaged files are refused in a sentence") {
  const tandem_test::TempDir folder;
  const std::string path = folder.path("x.safetensors");
  const auto write = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  };
  write("PK\x03\x04 and so on");
  CHECK(refusal(path) ==
        "this is a PyTorch archive; weights/convert.py clip makes a safetensors file of it");
  CHECK(refusal(folder.path(".")) ==
        "the folder holds neither model.safetensors nor open_clip_model.safetensors, nor an index "
        "of them");
  Checkpoint resnet = open_clip();
  resnet.tensors["visual.layer1.0.conv1.weight"] = zeros<float>({1});
  resnet.save<float>(path);
  CHECK(refusal(path) ==
        "tensor \"visual.layer1.0.conv1.weight\" belongs to another kind of image encoder; only "
        "CLIP's own "
        "vision transformers (ViT) are supported");
  Checkpoint other = open_clip();
  other.tensors = {{"bert.embeddings", zeros<float>({2})}};
  other.save<float>(path);
  CHECK(refusal(path) ==
        "this is no CLIP checkpoint: there is neither \"visual.conv1.weight\" nor "
        "\"token_embedding.weight\" (OpenAI, open_clip) nor \"vision_model.…\" (Hugging Face), the "
        "first "
        "tensor is \"bert.embeddings\"");

  open_clip().save<float>(path);
  const std::string whole = io::read_text(path);
  write(whole.substr(0, whole.size() - 5));
  CHECK(refusal(path).find("tensor \"") == 0);
  CHECK(refusal(path).find("lies at data offsets") != std::string::npos);
  // Cut or changed anywhere, the file is refused or loads; nothing crashes.
  Generator random(9);
  for (int i = 0; i < 60; ++i) {
    std::string bytes =
        whole.substr(0, i % 2 == 0 ? whole.size() : random.next_below(whole.size()));
    const std::size_t header = std::min<std::size_t>(bytes.size(), 9000);
    if (header > 0)
      bytes[random.next_below(header)] ^= static_cast<char>(1 + random.next_below(255));
    write(bytes);
    try {
      clip::load<float>(path);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).size() > 10);
    }
  }
}

TEST_CASE("load: perceptrons of any width") {
  // Units whose output weights are zero change nothing: without them the model is narrower.
  Checkpoint full = open_clip(), cut = open_clip();
  for (auto& [name, tensor] : full.tensors) {
    const bool in = name.find("mlp.c_fc.") != std::string::npos;
    const bool out = name.ends_with("mlp.c_proj.weight");
    if (!in && !out) continue;
    const int axis = in ? 0 : 1;
    const std::int64_t keep = tensor.size(axis) / 4 * 3 - 1;
    cut.tensors[name] = tensor.slice(axis, 0, keep).contiguous();
    if (out) tensor.slice(axis, keep, tensor.size(axis)).zero_();
  }
  tandem_test::TempDir dir;
  full.save<float>(dir.path("full.safetensors"));
  cut.save<float>(dir.path("cut.safetensors"));
  const auto a = clip::load<float>(dir.path("full.safetensors"));
  const auto b = clip::load<float>(dir.path("cut.safetensors"));
  CHECK(b.image->options().hidden == a.image->options().width * 3 - 1);
  Generator random(1);
  const NoGrad no_grad;
  const auto images = randn<float>({2, 3, 32, 32}, random);
  // The sums are the same but for their order.
  CHECK(check::distance(a.image->forward(images), b.image->forward(images)) < 1e-4);
  CHECK(check::distance(a.text->encode({{1, 2, 3}}), b.text->encode({{1, 2, 3}})) < 1e-4);
  cut.tensors["visual.transformer.resblocks.1.mlp.c_fc.bias"] = zeros<float>({7});
  cut.save<float>(dir.path("wrong.safetensors"));
  CHECK(refusal(dir.path("wrong.safetensors")).find("mlp.c_fc.bias\" has shape (7,)") !=
        std::string::npos);
}
