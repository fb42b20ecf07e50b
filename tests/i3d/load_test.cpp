/// What I3D's loader makes of files: folded, trainable, incomplete, of another kind, damaged.

#include "tandem/i3d/load.hpp"

#include <fstream>
#include <functional>
#include <limits>
#include <map>

#include "../io/temp_dir.hpp"
#include "../ops/check.hpp"

using namespace tandem;

namespace {

const std::string golden_file = TANDEM_GOLDEN_DIR "/i3d/rgb.safetensors";

struct Checkpoint {
  Checkpoint() {
    const io::SafetensorsFile file(golden_file);
    for (const std::string& name : file.names()) tensors[name] = file.get_as<float>(name);
    metadata = file.metadata();
  }
  void save(const std::string& path) const { io::save_safetensors(path, tensors, metadata); }
  std::map<std::string, Tensor<float>> tensors;
  io::Metadata metadata;
};

/// What loading a file says, without the part up to its name.
std::string refusal(const std::string& path, const i3d::LoadOptions& options = {}) {
  const std::string message = check::message([&] { i3d::load<float>(path, options); });
  const std::size_t at = message.find(": ");
  return at == std::string::npos ? message : message.substr(at + 2);
}

}  // namespace

TEST_CASE("load: widths, stream and window come from the file") {
  const auto loaded = i3d::load<float>(golden_file);
  const i3d::Config& config = loaded.model->config();
  CHECK(loaded.stream == "rgb");
  CHECK(loaded.metadata.at("source") == "rgb.pt");
  CHECK(loaded.metadata.at("source_sha256").size() == 64);
  CHECK(loaded.preprocessing.size == 256);
  CHECK(config.classes == 11);
  CHECK(config.stem == std::array<std::int64_t, 3>{4, 4, 12});
  CHECK(config.mixed[0].b1b == 8);
  CHECK(config.features() == 64);
  CHECK(config.window.width == 2);
  CHECK(loaded.report.str().find("287 tensors used") == 0);
  CHECK(loaded.report.unused.empty());
  const auto state = loaded.model->state_dict();
  CHECK(state.size() == 57 * 2 + 2);  // folded: a weight and a bias each
  for (const auto& p : loaded.model->named_parameters()) CHECK_FALSE(p.tensor.requires_grad());
}

TEST_CASE("load: unfolded, the model trains, in memory of its own") {
  const auto loaded = i3d::load<float>(golden_file, {.fold = false});
  CHECK(loaded.model->state_dict().size() == 57 * 6 + 2);
  CHECK(loaded.model->Conv3d_1a_7x7.conv3d.weight.storage()->writable());
  CHECK(loaded.model->Conv3d_1a_7x7.bn.running_var.storage()->writable());
  CHECK(
      refusal(golden_file, {.bfloat16 = true, .fold = false}).find("only a model that is folded") !=
      std::string::npos);
}

TEST_CASE("load: tensors that are missing, of another shape or unknown are named") {
  const tandem_test::TempDir folder;
  const std::string path = folder.path("x.safetensors");
  const auto with = [&](const std::function<void(Checkpoint&)>& change) {
    Checkpoint source;
    change(source);
    source.save(path);
    return refusal(path);
  };
  CHECK(with([](Checkpoint&) {}) == "");
  CHECK(with([](Checkpoint& c) { c.tensors.erase("Mixed_4b.b2a.bn.running_var"); }) ==
        "1 tensor is missing: \"Mixed_4b.b2a.bn.running_var\"");
  CHECK(with([](Checkpoint& c) { c.tensors.erase("Mixed_4b.b2a.conv3d.weight"); }) ==
        "tensor \"Mixed_4b.b2a.conv3d.weight\" is missing");
  CHECK(with([](Checkpoint& c) { c.tensors["Mixed_3b.b0.bn.bias"] = zeros<float>({5}); }) ==
        "tensor \"Mixed_3b.b0.bn.bias\" has shape (5,), expected (4,)");
  CHECK(with([](Checkpoint& c) {
          c.tensors["logits.conv3d.weight"] = zeros<float>({11, 64});
        }) ==
        "tensor \"logits.conv3d.weight\" has shape (11, 64), expected 5 dimensions, each from 1 to "
        "65536");
  CHECK(with([](Checkpoint& c) {
          c.metadata["window"] = "[2, 7]";
        }).find("expected [frames, rows") != std::string::npos);
  CHECK(with([](Checkpoint& c) { c.tensors["extra"] = zeros<float>({1}); }) == "");
  CHECK(i3d::load<float>(path).report.unused == std::vector<std::string>{"extra"});
  with([](Checkpoint& c) { c.tensors.erase("Mixed_4b.b2a.bn.bias"); });
  CHECK(i3d::load<float>(path, {.allow_missing = true}).report.missing ==
        std::vector<std::string>{"Mixed_4b.b2a.bn.bias"});
  io::save_safetensors(path, std::map<std::string, Tensor<float>>{{"bert", zeros<float>({2})}});
  CHECK(
      refusal(path) ==
      "this is no I3D checkpoint: there is no tensor \"Conv3d_1a_7x7.conv3d.weight\", the first is "
      "\"bert\"");
  CHECK(refusal(TANDEM_GOLDEN_DIR "/i3d/rgb.pt").find("weights/convert.py i3d makes") !=
        std::string::npos);
}

TEST_CASE("load: numbers that are not finite and variances below zero are named") {
  const tandem_test::TempDir folder;
  const std::string path = folder.path("x.safetensors");
  const auto with = [&](const char* name, float value) {
    Checkpoint source;
    source.tensors.at(name).mutable_data()[2] = value;
    source.save(path);
    const std::string folded = refusal(path);
    CHECK(refusal(path, {.fold = false}) == folded);
    return folded;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(with("Mixed_4b.b2a.conv3d.weight", nan) ==
        "tensor \"Mixed_4b.b2a.conv3d.weight\" is nan at element 2, expected finite numbers");
  CHECK(with("Mixed_3b.b0.bn.running_var", std::numeric_limits<float>::infinity()) ==
        "tensor \"Mixed_3b.b0.bn.running_var\" is inf at element 2, expected finite numbers");
  CHECK(with("Mixed_3b.b0.bn.running_var", -0.5F) ==
        "tensor \"Mixed_3b.b0.bn.running_var\" is -0.5 at element 2, a variance is not negative");
  CHECK(with("Mixed_3b.b0.bn.running_var", 0) == "");
}

TEST_CASE("load: what the header says is done, known to be without effect, or refused") {
  const tandem_test::TempDir folder;
  const std::string path = folder.path("x.safetensors");
  const auto with = [&](const std::string& key, const std::string& value) {
    Checkpoint source;
    source.metadata[key] = value;
    source.save(path);
    return refusal(path);
  };
  CHECK(with("batch_norm_epsilon", "1e-05") == "");
  const auto small = i3d::load<double>(path, {.fold = false}),
             usual = i3d::load<double>(golden_file, {.fold = false});
  CHECK(small.model->config().epsilon == 1e-5);
  CHECK(usual.model->config().epsilon == 1e-3);
  CHECK(small.model->Conv3d_1a_7x7.bn.epsilon() == 1e-5);
  CHECK(small.model->mixed[8]->b3b.bn.epsilon() == 1e-5);
  // Folded, a channel's weights are divided by √(variance + ε).
  const auto folded = i3d::load<double>(path, {.prepare = false}),
             plain = i3d::load<double>(golden_file, {.prepare = false});
  const double variance = usual.model->Conv3d_2b_1x1.bn.running_var.at({2});
  const double ratio = folded.model->Conv3d_2b_1x1.conv3d.weight.at({2, 1, 0, 0, 0}) /
                       plain.model->Conv3d_2b_1x1.conv3d.weight.at({2, 1, 0, 0, 0});
  CHECK(std::fabs(ratio - std::sqrt((variance + 1e-3) / (variance + 1e-5))) < 1e-12);
  CHECK(std::fabs(ratio - 1) > 1e-6);
  CHECK(with("batch_norm_epsilon", "0") ==
        "the header says batch_norm_epsilon 0, expected a number between 0 and 1");
  CHECK(with("batch_norm_epsilon", "[]").find("expected a number") != std::string::npos);
  CHECK(with("short_side", "240") == "");
  CHECK(i3d::load<float>(path).preprocessing.size == 240);
  CHECK(with("interpolation", "bicubic") == "");
  CHECK(i3d::load<float>(path).preprocessing.filter == i3d::ResizeFilter::bicubic);
  CHECK(with("interpolation", "nearest") ==
        "the header says interpolation \"nearest\", which is not implemented");
  CHECK(with("scale", "byte / 255") ==
        "the header says scale \"byte / 255\", which is not implemented");
  CHECK(with("format", "tandem i3d 2") ==
        "the header says format \"tandem i3d 2\", which is not implemented");
  CHECK(with("padding", "zeros") ==
        "the header has the key \"padding\", which is not known here and may change the features");
  CHECK(with("crop", "0.5").find("expected an integer from 1") != std::string::npos);
}

TEST_CASE("load: changed anywhere, a file is refused or loads") {
  const tandem_test::TempDir folder;
  const std::string whole = io::read_text(golden_file), path = folder.path("x.safetensors");
  Generator random(9);
  for (int i = 0; i < 20; ++i) {
    std::string bytes =
        whole.substr(0, i % 2 == 0 ? whole.size() : random.next_below(whole.size()));
    const std::size_t header = std::min<std::size_t>(bytes.size(), 30000);
    if (header > 0)
      bytes[random.next_below(header)] ^= static_cast<char>(1 + random.next_below(255));
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    try {
      i3d::load<float>(path);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).size() > 10);
    }
  }
}
