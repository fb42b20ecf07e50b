/// State dicts of PyTorch and torchvision load strictly by name, the models agree with PyTorch's to
/// 1e-5 of their largest element, forward and backward, and what is saved is what was loaded:
/// names, types, shapes and bytes. tests/golden/states.safetensors was written by PyTorch's
/// safetensors.

#include "../io/temp_dir.hpp"
#include "../ops/check.hpp"
#include "pytorch_models.hpp"
#include "tandem/io/safetensors.hpp"

using namespace tandem;
using namespace pytorch_models;

namespace {

const char* const golden_path = TANDEM_GOLDEN_DIR "/states.safetensors";

const io::SafetensorsFile& golden_file() {
  static const io::SafetensorsFile file(golden_path);
  return file;
}

/// The bytes of every tensor of a file whose name starts with a prefix, by its type, shape and
/// name.
std::map<std::string, std::string> contents(const io::SafetensorsFile& file,
                                            std::string_view prefix) {
  std::map<std::string, std::string> out;
  for (const std::string& name : file.names()) {
    if (!name.starts_with(prefix)) continue;
    const io::Array& array = file.at(name);
    const std::string key = concat(name.substr(prefix.size()), " ", io::kind_name(array.kind), " ",
                                   io::shape_text(array.shape));
    out[key] = std::string(reinterpret_cast<const char*>(array.data), array.bytes);
  }
  return out;
}

/// What is saved has the bytes of the golden file's tensors below `prefix`.
void check_saved(const std::vector<nn::Named<float>>& state, const std::string& prefix) {
  const tandem_test::TempDir dir;
  io::save_safetensors(dir.path("back.safetensors"), state);
  const auto saved = contents(io::SafetensorsFile(dir.path("back.safetensors")), "");
  const auto original = contents(golden_file(), prefix);
  REQUIRE(saved.size() == original.size());
  for (const auto& [key, bytes] : original) {
    INFO(key);
    REQUIRE(saved.count(key) == 1);
    CHECK(saved.at(key) == bytes);
  }
}

/// Within 1e-5 of the largest element: sums of a few hundred products, each a rounding of 6e-8.
template <class T>
void check_near(const Tensor<float>& ours, const Tensor<T>& theirs) {
  double largest = 0;
  for (const T v : theirs.to_vector())
    largest = std::max(largest, std::fabs(static_cast<double>(v)));
  REQUIRE(largest > 0);
  CHECK(check::distance(ours, theirs) < 1e-5 * largest);
}

/// Loads `state`, compares forward and backward in eval mode. `theirs` says what PyTorch calls the
/// parameter of one of our names.
template <class Model, class Forward, class Name>
void check_model(Model& model, const std::string& key, const std::vector<nn::Named<float>>& state,
                 const Forward& forward, const Name& theirs) {
  const nn::LoadReport report = model.load_state_dict(state);
  CHECK(report.used.size() == state.size());
  model.eval();
  const Tensor<float> x = golden_file().get_as<float>(key + ".x");
  x.requires_grad_();
  const Tensor<float> y = forward(x);
  check_near(y.detach(), golden_file().get<double>(key + ".y"));
  y.backward(golden_file().get_as<float>(key + ".cot"));
  check_near(x.grad(), golden_file().get<float>(key + ".dx"));
  std::size_t parameters = 0;
  for (const auto& named : model.named_parameters()) {
    INFO(named.name);
    check_near(named.tensor.grad(), golden_file().get<float>(key + ".grad." + theirs(named.name)));
    ++parameters;
  }
  CHECK(parameters == contents(golden_file(), key + ".grad.").size());
}

/// All of it for a model whose names are PyTorch's.
template <class Model, class Forward>
void check_model(Model& model, const std::string& key, const Forward& forward) {
  check_model(model, key, io::load_safetensors<float>(golden_path, key + ".state."), forward,
              [](const std::string& name) { return name; });
  check_saved(model.state_dict(), key + ".state.");
}
template <class Model>
void check_model(Model& model, const std::string& key) {
  check_model(model, key, [&](const Tensor<float>& x) { return model.forward(x); });
}

/// Which keys of the encoders' input may be seen: of the second sequence the first four.
Tensor<bool> encoder_mask() {
  const Tensor<bool> mask = full<bool>({2, 7}, true);
  mask[1].slice(0, 4).fill_(false);
  return mask;
}

struct ConvNet final : nn::Module<float> {
  explicit ConvNet(Generator& random) : classifier(8, 4, random) {
    features.push(make_ref<nn::Conv2d<float>>(3, 6, 3, random, Conv2dOptions{.padding = 1}));
    features.push(make_ref<nn::BatchNorm2d<float>>(6));
    features.push(relu_layer());
    features.push(make_ref<nn::MaxPool2d<float>>(MaxPool2dOptions{.kernel = 2}));
    features.push(make_ref<nn::Conv2d<float>>(6, 8, Pair(3, 2), random,
                                              Conv2dOptions{.stride = {1, 2}, .groups = 2}, false));
    features.push(make_ref<nn::BatchNorm2d<float>>(8, BatchNormOptions{.epsilon = 1e-3}));
    features.push(
        nn::make_function<float>([](const Tensor<float>& x) { return leaky_relu(x, 0.1); }));
    features.push(make_ref<nn::AvgPool2d<float>>(AvgPool2dOptions{.kernel = 2}));
    add("features", features);
    add("classifier", classifier);
  }
  Tensor<float> forward(const Tensor<float>& x) const {
    return classifier.forward(mean(features.forward(x), {2, 3}));
  }
  nn::Sequential<float> features;
  nn::Linear<float> classifier;
};

}  // namespace

TEST_CASE("PyTorch's states: an MLP of nn.Sequential") {
  Generator random(1);
  nn::Sequential<float> net;
  net.push(make_ref<nn::Linear<float>>(5, 8, random));
  net.push(relu_layer());
  net.push(make_ref<nn::Linear<float>>(8, 6, random));
  net.push(gelu_layer());
  net.push(make_ref<nn::Linear<float>>(6, 3, random));
  check_model(net, "mlp");
}

TEST_CASE(
    "PyTorch's states: a convolutional net with batch norms and pooling, also a step further") {
  Generator random(1);
  ConvNet net(random);
  check_model(net, "conv_net");
  CHECK(dynamic_cast<nn::BatchNorm2d<float>&>(net.features[1]).num_batches_tracked.item() == 1000);
  net.train();
  net.forward(golden_file().get_as<float>("conv_net.x"));
  const auto state = net.state_dict();
  std::size_t statistics = 0;
  for (const auto& after : io::load_safetensors<float>(golden_path, "conv_net.after.")) {
    INFO(after.name);
    for (const auto& named : state) {
      if (named.name != after.name) continue;
      check_near(named.tensor, after.tensor);
      ++statistics;
    }
  }
  CHECK(statistics == 6);
}

TEST_CASE("PyTorch's states: nn.TransformerEncoder, both orders of norms, with its own names") {
  Generator random(1);
  for (const bool norm_first : {true, false}) {
    CAPTURE(norm_first);
    const Activation activation = norm_first ? Activation::gelu : Activation::relu;
    std::vector<Ref<EncoderLayer>> layers;
    for (int i = 0; i < 2; ++i)
      layers.push_back(make_ref<EncoderLayer>(8, 2, 12, activation, norm_first, random));
    Encoder<> encoder(layers,
                      norm_first ? make_ref<nn::LayerNorm<float>>(8) : Ref<nn::LayerNorm<float>>());
    const auto forward = [&](const Tensor<float>& x) { return encoder.forward(x, encoder_mask()); };
    check_model(encoder, norm_first ? "encoder" : "encoder_post", forward);
  }
}

TEST_CASE("PyTorch's states: nn.TransformerEncoder in TransformerBlocks, renamed, and back") {
  const std::vector<std::pair<std::string, std::string>> ours{{"self_attn", "attn"},
                                                              {"norm1", "ln_1"},
                                                              {"norm2", "ln_2"},
                                                              {"linear1", "mlp.c_fc"},
                                                              {"linear2", "mlp.c_proj"}};
  auto theirs = ours;
  for (auto& [from, to] : theirs) std::swap(from, to);
  Generator random(1);
  std::vector<Ref<nn::TransformerBlock<float>>> blocks;
  for (int i = 0; i < 2; ++i) {
    blocks.push_back(make_ref<nn::TransformerBlock<float>>(
        8, 2, random, nn::TransformerBlockOptions{.hidden = 12}));
  }
  Encoder<nn::TransformerBlock<float>> encoder(blocks, make_ref<nn::LayerNorm<float>>(8));
  const auto state = io::load_safetensors<float>(golden_path, "encoder.state.");
  CHECK_THROWS_AS(encoder.load_state_dict(state), Error);
  std::map<std::string, std::string> name_there;
  const auto own = encoder.state_dict(), back = nn::renamed(own, theirs);
  for (std::size_t i = 0; i < own.size(); ++i) name_there[own[i].name] = back[i].name;
  check_model(
      encoder, "encoder", nn::renamed(state, ours),
      [&](const Tensor<float>& x) { return encoder.forward(x, encoder_mask()); },
      [&](const std::string& name) { return name_there.at(name); });
  check_saved(nn::renamed(encoder.state_dict(), theirs), "encoder.state.");
}

TEST_CASE("PyTorch's states: torchvision's ResNet-18, with other widths") {
  Generator random(1);
  ResNet18 net(random, {3, 3, 4, 6}, 5);
  check_model(net, "resnet");
}

TEST_CASE("PyTorch's states: torchvision's VisionTransformer") {
  Generator random(1);
  VisionTransformer net(
      random,
      {.image = 8, .patch = 4, .layers = 2, .heads = 2, .width = 8, .hidden = 12, .classes = 5});
  check_model(net, "vit");
}

TEST_CASE("PyTorch's states: what does not fit is said") {
  Generator random(1);
  ResNet18 net(random, {3, 3, 4, 6}, 5);
  auto state = io::load_safetensors<float>(golden_path, "resnet.state.");
  const auto count = std::find_if(state.begin(), state.end(), [](const auto& named) {
    return named.name == "layer3.0.downsample.1.num_batches_tracked";
  });
  REQUIRE(count != state.end());
  state.erase(count);
  CHECK(check::message([&] { net.load_state_dict(state); }) ==
        "[load_state_dict] the names do not match, so nothing was loaded: 121 tensors agree, 1 "
        "missing: layer3.0.downsample.1.num_batches_tracked");
}
