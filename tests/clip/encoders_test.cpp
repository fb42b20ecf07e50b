/// Both encoders against open_clip and transformers (tests/golden/generate_clip.py), each loaded
/// from the package's own checkpoint format, and what a frozen encoder promises.

#include "../ops/check.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/normalize.hpp"

using namespace tandem;

namespace {

const io::Npz& golden() {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/clip.npz");
  return file;
}
template <FloatingElement T>
Tensor<T> get(const std::string& key) {
  return golden().at(key).tensor_as<T>().clone();
}

/// A checkpoint and the key of what its own package computes from it.
struct Source {
  const char* key;
  const char* path;
};
constexpr Source sources[] = {{"open_clip", TANDEM_GOLDEN_DIR "/clip/open_clip"},
                              {"hugging_face", TANDEM_GOLDEN_DIR "/clip/hugging_face"},
                              {"converted", TANDEM_GOLDEN_DIR "/clip/converted.safetensors"}};

std::vector<std::vector<std::int64_t>> texts() {
  const Tensor<std::int64_t> ids = golden().at("ids").tensor_as<std::int64_t>();
  const std::vector<std::int64_t> lengths =
      golden().at("lengths").tensor_as<std::int64_t>().to_vector();
  std::vector<std::vector<std::int64_t>> out;
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    std::vector<std::int64_t> row = ids[static_cast<std::int64_t>(n)].to_vector();
    row.resize(static_cast<std::size_t>(lengths[n]));
    out.push_back(row);
  }
  return out;
}

/// The texts with the prompt vectors at positions 1 and 2, padded with whatever follows EOT there.
template <FloatingElement T>
Tensor<T> with_prompts(const clip::TextEncoder<T>& encoder, const Tensor<T>& prompts) {
  const Tensor<std::int64_t> ids = golden().at("ids").tensor_as<std::int64_t>();
  const Tensor<T> embedded = encoder.token_embedding.forward(ids);
  const std::int64_t count = ids.size(0), length = ids.size(1), width = prompts.size(1);
  return cat(std::vector<Tensor<T>>{embedded.slice(1, 0, 1), prompts.expand({count, 2, width}),
                                    embedded.slice(1, 3, length)},
             1);
}
std::vector<std::int64_t> ends() {
  std::vector<std::int64_t> out;
  for (const auto& text : texts()) out.push_back(static_cast<std::int64_t>(text.size()) - 1);
  return out;
}

/// ‖ours − theirs‖/‖theirs‖.
template <class A, class B>
double relative(const Tensor<A>& ours, const Tensor<B>& theirs) {
  REQUIRE(ours.shape() == theirs.shape());
  const std::vector<A> a = ours.to_vector();
  const std::vector<B> b = theirs.to_vector();
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / size);
}

template <FloatingElement T>
void compare(const Source& source, const clip::LoadOptions& options, double tolerance) {
  INFO(source.key);
  const std::string key = std::string(source.key) + ".";
  const auto model = clip::load<T>(source.path, options);
  CHECK(model.report.missing.empty());
  CHECK(model.report.unused.empty());
  CHECK(std::fabs(static_cast<double>(model.logit_scale) - 50) < 0.05);  // half keeps ln 50 to 2⁻¹⁰
  CHECK(relative(model.image->forward(get<T>("images")), get<double>(key + "image")) < tolerance);
  CHECK(relative(model.text->encode(texts()), get<double>(key + "plain")) < tolerance);
  const Tensor<T> prompts = get<T>("prompts");
  prompts.requires_grad_();
  const Tensor<T> features = model.text->forward(with_prompts(*model.text, prompts), ends());
  CHECK(relative(features.detach(), get<double>(key + "text")) < tolerance);
  features.backward(get<T>(key + "cot"));
  CHECK(relative(prompts.grad(), get<double>(key + "d_prompts")) < tolerance);
}

}  // namespace

TEST_CASE(
    "encoders in double: image, text, gradients of prompts as open_clip and transformers have "
    "them") {
  // The same float32 weights on both sides; a few hundred roundings of numbers below 100.
  for (const Source& source : sources) compare<double>(source, {}, 1e-12);
}

TEST_CASE("encoders in float") {
  // A few hundred roundings of 2⁻²⁴ each, amplified by the softmaxes of three layers.
  for (const Source& source : sources) compare<float>(source, {}, 2e-6);
}

TEST_CASE("encoders in bfloat16: within the rounding of the operands") {
  // Each of the 13 products of a path rounds both operands to 2⁻⁹/√3 standard deviations.
  for (const Source& source : sources) compare<float>(source, {.bfloat16 = true}, 2e-2);
}

TEST_CASE("a model read as bfloat16 and one converted later are the same") {
  const Source& source = sources[1];
  const auto at_once = clip::load<float>(source.path, {.bfloat16 = true});
  const auto later = clip::load<float>(source.path);
  nn::keep_bfloat16(*later.image);
  nn::keep_bfloat16(*later.text);
  const Tensor<float> images = get<float>("images");
  const Tensor<float> a = at_once.image->forward(images);
  CHECK(check::same(a, later.image->forward(images)));
  CHECK(relative(a, clip::load<float>(source.path).image->forward(images)) > 1e-5);
  CHECK(check::same(at_once.text->encode(texts()), later.text->encode(texts())));
  for (const nn::Slot<float>& slot : later.text->slots()) {
    INFO(slot.name);
    const bool matrix = slot.name.ends_with("weight") && slot.name.find("ln_") == std::string::npos;
    CHECK((slot.matrix != nullptr && slot.matrix->is_bfloat16()) == matrix);
    CHECK(slot.tensor->defined() == !matrix);
  }
}

TEST_CASE("packed weights: the same features, from the packed copy, while nothing is recorded") {
  for (const bool low : {false, true}) {
    INFO("bfloat16 ", low);
    const auto plain = clip::load<float>(sources[0].path, {.bfloat16 = low});
    const auto packed = clip::load<float>(sources[0].path, {.bfloat16 = low});
    const Tensor<float> images = get<float>("images");
    nn::pack_weights(*packed.image);
    nn::pack_weights(*packed.text);
    int matrices = 0;
    for (const nn::Slot<float>& slot : packed.image->slots()) {
      if (slot.matrix == nullptr) continue;
      ++matrices;
      CHECK(slot.matrix->is_packed());
      CHECK(slot.matrix->is_bfloat16() == low);
      CHECK(slot.tensor->defined() == !low);
    }
    CHECK(matrices > 4);
    // With few rows a dot product sums in another order than the packed kernel: a few hundred
    // roundings, each of which may turn the rounding of an activation to bfloat16 (2⁻⁹) the other
    // way.
    const double tolerance = low ? 4e-3 : 2e-6;
    const auto near = [=](const Tensor<float>& a, const Tensor<float>& b) {
      return relative(a, b) < tolerance;
    };
    CHECK(near(packed.image->forward(images), plain.image->forward(images)));
    CHECK(near(packed.text->encode(texts()), plain.text->encode(texts())));
    // Gradients flow through the weights as they are, and what is saved is what was loaded.
    const Tensor<float> prompts = get<float>("prompts");
    const auto gradient = [&](const clip::Clip<float>& model) {
      const Tensor<float> leaf = prompts.clone();
      leaf.requires_grad_();
      const Tensor<float> y = model.text->forward(with_prompts(*model.text, leaf), ends());
      y.backward(ones<float>(y.shape()));
      return leaf.grad();
    };
    CHECK(near(gradient(packed), gradient(plain)));
    const auto before = plain.image->state_dict(), after = packed.image->state_dict();
    REQUIRE(before.size() == after.size());
    for (std::size_t i = 0; i < before.size(); ++i)
      CHECK(check::same(before[i].tensor, after[i].tensor));
    if (low) continue;
    // A weight that is replaced is used as it is: with zeros in conv1 all images look alike.
    packed.image->conv1.weight = zeros<float>(packed.image->conv1.weight.tensor().shape());
    const Tensor<float> blind = packed.image->forward(images);
    CHECK(check::same(blind.slice(0, 0, 1), blind.slice(0, 1, 2)));
  }
}

TEST_CASE("a frozen encoder keeps nothing and computes no weight gradient") {
  for (const bool low : {false, true}) {
    INFO("bfloat16 ", low);
    const auto model = clip::load<float>(sources[0].path, {.bfloat16 = low});
    const Tensor<float> images = get<float>("images");
    static_cast<void>(model.image->forward(images));  // the pool and the threads' scratch
    const std::int64_t before = memory_stats().current;
    const Tensor<float> features = model.image->forward(images);
    CHECK_FALSE(features.requires_grad());
    // What is left is the result: 3 × 20 floats, one block.
    CHECK(memory_stats().current - before <= 512);
    CHECK_FALSE(model.text->encode(texts()).requires_grad());
    const Tensor<float> prompts = get<float>("prompts");
    prompts.requires_grad_();
    const Tensor<float> y = model.text->forward(with_prompts(*model.text, prompts), ends());
    CHECK(y.requires_grad());
    y.backward(ones<float>(y.shape()));
    for (const auto& p : model.text->named_parameters()) {
      INFO(p.name);
      CHECK_FALSE(p.tensor.requires_grad());
      CHECK_FALSE(p.tensor.grad().defined());
    }
  }
}

TEST_CASE("positions after the last EOT are not computed") {
  Generator random(3);
  clip::TextEncoder<float> text(
      {.vocabulary = 20, .context = 64, .width = 64, .layers = 2, .heads = 2, .output = 8}, random);
  const Tensor<float> embedded = randn<float>({8, 64, 64}, random);
  const auto peak = [&](std::int64_t end) {
    const std::vector<std::int64_t> at(8, end);
    reset_peak_memory();
    const std::int64_t before = memory_stats().current;
    const NoGrad no_grad;
    static_cast<void>(text.forward(embedded, at));
    return memory_stats().peak - before;
  };
  CHECK(peak(7) < peak(63) / 4);
  const NoGrad no_grad;
  Tensor<float> changed = embedded.clone();
  changed.slice(1, 8, 64).fill_(1e30F);
  CHECK(check::same(text.forward(embedded, std::vector<std::int64_t>(8, 7)),
                    text.forward(changed, std::vector<std::int64_t>(8, 7))));
}

TEST_CASE("image encoder: every parameter learns, and pixels too") {
  Generator random(5);
  clip::ImageEncoder<double> image(
      {.resolution = 6, .patch = 3, .width = 8, .layers = 1, .heads = 2, .output = 5}, random);
  const Tensor<double> x = randn<double>({2, 3, 6, 6}, random);
  const Tensor<double> y = image.forward(x);
  CHECK(y.shape() == Shape{2, 5});
  y.backward(randn<double>(y.shape(), random));
  for (const auto& p : image.named_parameters()) {
    INFO(p.name);
    double largest = 0;
    for (const double v : p.tensor.grad().to_vector()) {
      REQUIRE(std::isfinite(v));
      largest = std::max(largest, std::fabs(v));
    }
    CHECK(largest > 0);
  }
  gradcheck([&](const std::vector<Tensor<double>>& in) { return image.forward(in[0]); }, {x});
}

TEST_CASE("unfold_patches: rows over the grid, channel by channel within a patch") {
  const Tensor<float> images = arange<float>(0, 2 * 3 * 4 * 6).view({2, 3, 4, 6});
  const Tensor<float> patches = clip::unfold_patches(images, 2);
  REQUIRE(patches.shape() == Shape{2, 6, 12});
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t p = 0; p < 6; ++p) {
      for (std::int64_t i = 0; i < 12; ++i) {
        const std::int64_t channel = i / 4, row = p / 3 * 2 + i / 2 % 2, column = p % 3 * 2 + i % 2;
        CHECK(patches.at({b, p, i}) == images.at({b, channel, row, column}));
      }
    }
  }
}

TEST_CASE("encoders say what is wrong") {
  Generator random(5);
  const clip::ImageEncoder<float> image(
      {.resolution = 6, .patch = 3, .width = 8, .layers = 1, .heads = 2, .output = 5}, random);
  CHECK(check::message([&] {
          image.forward(zeros<float>({2, 3, 6, 9}));
        }) == "[image_encoder] expected images (B, 3, 6, 6), got (2, 3, 6, 9)");
  CHECK(check::message([&] {
          clip::ImageEncoder<float>({.resolution = 10, .patch = 4, .width = 8, .heads = 2}, random);
        }) == "[image_encoder] a resolution of 10 does not divide into patches of 4");
  CHECK(check::message([&] {
          clip::unfold_patches(zeros<float>({2, 3, 6, 9}), 4);
        }) == "[unfold_patches] images of shape (2, 3, 6, 9) do not divide into patches of 4 × 4");
  const clip::TextEncoder<float> text(
      {.vocabulary = 20, .context = 6, .width = 8, .layers = 1, .heads = 2, .output = 5}, random);
  CHECK(check::message([&] {
          text.forward(zeros<float>({1, 9, 8}), {8});
        }) == "[text_encoder] a text of 9 tokens is longer than the context of 6");
  CHECK(check::message([&] {
          text.forward(zeros<float>({1, 5, 8}), {5});
        }) == "[text_encoder] the end position 5 of text 0 lies outside its 5 tokens");
}
