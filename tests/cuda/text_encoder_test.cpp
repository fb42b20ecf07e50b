/// CLIP's whole text encoder on every device against the CPU, and its gradients to the prompts.

#include "tandem/clip/text_encoder.hpp"

#include "tandem/clip/captured_text_encoder.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/model/prompts.hpp"
#include "whole_models.hpp"

using namespace tandem;
namespace text_encoder_test {
using whole_models::relative;

namespace {

clip::TextEncoderOptions small(bool causal = true) {
  clip::TextEncoderOptions o;
  o.vocabulary = 12, o.context = 14, o.width = 32, o.layers = 2, o.heads = 2, o.output = 20;
  o.causal = causal;
  return o;
}
clip::TextEncoderOptions larger() {
  clip::TextEncoderOptions o;
  o.vocabulary = 12, o.context = 77, o.width = 128, o.layers = 2, o.heads = 2, o.output = 65;
  return o;
}
/// Ids of three texts that differ in length, SOS 0 … EOT 1; the first two begin alike.
std::vector<std::vector<std::int64_t>> texts() {
  return {{0, 2, 3, 4, 1}, {0, 2, 3, 1}, {0, 2, 5, 6, 7, 8, 1}};
}

template <class T>
Ref<clip::TextEncoder<T>> encoder(const clip::TextEncoderOptions& o, bool low = false) {
  Generator random(7);
  const auto made = make_ref<clip::TextEncoder<T>>(o, random);
  whole_models::round_to_float(*made);
  made->freeze();
  if constexpr (std::is_same_v<T, float>) {
    if (low) nn::keep_bfloat16(*made);
  }
  return made;
}

/// The features of prompts, and their gradients to the learned vectors before and after the name.
template <class T>
std::vector<Tensor<T>> prompted(const clip::TextEncoderOptions& o, std::int64_t vectors,
                                bool per_class, bool low, Device device) {
  const auto text = encoder<T>(o, low);
  Generator random(8);
  wtal::PromptLearner<T> prompts({{2, 3}, {4}, {5, 6, 7}}, o.width,
                                 {.vectors = vectors,
                                  .deviation = 0.1,
                                  .per_class = per_class,
                                  .start_token = 0,
                                  .end_token = 1},
                                 random);
  whole_models::round_to_float(prompts);
  text->to(device), prompts.to(device);
  const Tensor<T> y =
      text->forward_packed(prompts.forward(text->token_embedding), prompts.packed());
  CHECK(y.device() == device);
  y.backward(check::cast<T>(devices::normal(y.shape(), 9)).to(device));
  for (const Tensor<T>& p : text->parameters()) CHECK_FALSE(p.grad().defined());
  std::vector<Tensor<T>> out{y.detach(), prompts.before.grad(), prompts.after.grad()};
  for (Tensor<T>& tensor : out) tensor = tensor.to(Device::cpu());
  return out;
}

void follows_the_cpu(const clip::TextEncoderOptions& o, std::int64_t vectors, bool per_class) {
  CAPTURE(per_class);
  const auto exact = prompted<double>(o, vectors, per_class, false, Device::cpu()),
             in_double = prompted<double>(o, vectors, per_class, false, Device::cuda());
  const auto in_order = [&](bool low) {
    return devices::same_in_every_order(
        [&](Device device) { return prompted<float>(o, vectors, per_class, low, device); });
  };
  const auto got = in_order(false), low = in_order(true);
  const auto low_on_cpu = prompted<float>(o, vectors, per_class, true, Device::cpu());
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(i);
    // As for the image encoder (image_encoder_test.cpp).
    CHECK(relative(got[i], exact[i]) < 900 * devices::float_eps);
    CHECK(relative(in_double[i], exact[i]) < 900 * 0x1p-53);
    // The gradient goes through twice as many roundings to bfloat16.
    CHECK(relative(low[i], low_on_cpu[i]) < 8e-3);
    CHECK(relative(low[i], exact[i]) < 4e-2);
    CHECK(relative(low[i], exact[i]) > 1e-5);
  }
}

}  // namespace

TEST_CASE("text encoder: features of prompts and the prompts' gradients are the CPU's") {
  for (const bool per_class : {false, true}) follows_the_cpu(small(), 3, per_class);
}
// The executor takes long for it: among the long tests (cuda_executor/long).
TEST_CASE("long: text encoder with heads of 64 columns, 16 vectors on both sides" *
          doctest::skip()) {
  follows_the_cpu(larger(), 16, false);
}

TEST_CASE("text encoder: ids of the host, padded embeddings, and where every position sees all") {
  for (const bool causal : {true, false}) {
    CAPTURE(causal);
    const auto o = small(causal);
    const auto encoded = [&]<class T>(Device device, T) {
      const auto text = encoder<T>(o);
      text->to(device);
      Tensor<std::int64_t> ids = zeros<std::int64_t>({3, o.context});
      std::vector<std::int64_t> end;
      for (std::size_t n = 0; n < 3; ++n) {
        for (std::size_t t = 0; t < texts()[n].size(); ++t) {
          ids.mutable_data()[static_cast<std::int64_t>(n) * o.context +
                             static_cast<std::int64_t>(t)] = texts()[n][t];
        }
        end.push_back(static_cast<std::int64_t>(texts()[n].size()) - 1);
      }
      return std::vector<Tensor<T>>{
          text->encode(texts()), text->forward(text->token_embedding.forward(ids.to(device)), end)};
    };
    const auto exact = encoded(Device::cpu(), double());
    const auto got =
        devices::same_in_every_order([&](Device device) { return encoded(device, float()); });
    for (std::size_t i = 0; i < exact.size(); ++i) {
      CHECK(relative(got[i], exact[i]) < 450 * devices::float_eps);  // no backward
    }
  }
}

TEST_CASE("text encoder: nothing waits, forward or backward, and the launches are few") {
  const auto o = small();
  const auto text = encoder<float>(o);
  Generator random(8);
  wtal::PromptLearner<float> prompts({{2, 3}, {4}, {5, 6, 7}}, o.width,
                                     {.vectors = 3, .start_token = 0, .end_token = 1}, random);
  text->to(Device::cuda()), prompts.to(Device::cuda());
  Tensor<float> y;
  const auto forward = [&] {
    y = text->forward_packed(prompts.forward(text->token_embedding), prompts.packed());
  };
  forward();
  const Tensor<float> cotangent = ones<float>(y.shape(), Device::cuda());
  const whole_models::Cost there = whole_models::cost_of(forward),
                           back = whole_models::cost_of([&] { y.backward(cotangent); });
  MESSAGE("a text encoder of two layers: ", there.launches, " launches forward, ", back.launches,
          " back to the prompts");
  CHECK(there.waits == 0);
  CHECK(back.waits == 0);
  CHECK(there.launches <= 40);
  CHECK(back.launches <= 60);
}

TEST_CASE("text encoder: captured for each layout, the bits of the usual forward, in every order") {
  const auto o = small();
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    CAPTURE(order);
    for (const bool low : {false, true}) {
      CAPTURE(low);
      const auto text = encoder<float>(o, low);
      text->to(Device::cuda());
      Generator random(8);
      using Prompts = wtal::PromptLearner<float>;
      Prompts one({{2, 3}, {4}, {5, 6, 7}}, o.width,
                  {.vectors = 3, .deviation = 0.1, .start_token = 0, .end_token = 1}, random);
      Prompts other(
          {{8, 3}, {4, 9}}, o.width,
          {.vectors = 2, .deviation = 0.1, .per_class = true, .start_token = 0, .end_token = 1},
          random);
      one.to(Device::cuda()), other.to(Device::cuda());
      clip::CapturedTextEncoder<float> captured(text);
      const auto same = [&](const Prompts& prompts) {
        const NoGrad no_grad;
        const Tensor<float> x = prompts.forward(text->token_embedding);
        const Tensor<float> expected = text->forward_packed(x, prompts.packed()),
                            got = captured.forward_packed(x, prompts.packed());
        CHECK(got.device() == expected.device());
        return check::same(got.to(Device::cpu()), expected.to(Device::cpu()));
      };
      // Layouts in turn, each time with other vectors; both come three times or more.
      for (int i = 0; i < 7; ++i) {
        CAPTURE(i);
        const Prompts& prompts = i % 2 == 0 ? one : other;
        {
          const NoGrad no_grad;
          prompts.before *= 1.25F;
        }
        CHECK(same(prompts));
      }
      CHECK(captured.graphs() == 2);
      CHECK(captured.graph_bytes() > 0);
      // Weights that change in place are seen; an encoder that moves is captured anew.
      text->text_projection *= 2;
      CHECK(same(one));
      CHECK(captured.graphs() == 2);
      text->to(Device::cpu()), one.to(Device::cpu());
      CHECK(same(one));
      text->to(Device::cuda()), one.to(Device::cuda());
      CHECK(same(one));
      CHECK(captured.graphs() == 0);
    }
  }
  backend::set_order(0);
  CHECK(check::message([] { clip::CapturedTextEncoder<float> none({}); }) ==
        "[captured_text_encoder] there is no encoder");
}

TEST_CASE("text encoder: a branch encodes the names of its classes anew by one replay") {
  const auto o = small();
  const auto text = encoder<float>(o);
  Generator random(8);
  wtal::VlpBranch<float> branch({.width = o.output, .layers = 0, .table = 30}, text,
                                {{2, 3}, {4}, {5, 6, 7}},
                                {.vectors = 3, .start_token = 0, .end_token = 1}, random);
  text->to(Device::cuda()), branch.to(Device::cuda());
  const NoGrad no_grad;  // it is evaluated
  for (int i = 0; i < 4; ++i) {
    CAPTURE(i);
    branch.prompts.before *= 1.25F;
    Tensor<float> y;
    const whole_models::Cost cost = whole_models::cost_of([&] { y = branch.text_features(); });
    CHECK(cost.waits == 0);
    const Tensor<float> expected =
        normalize(text->forward_packed(branch.prompts.forward(text->token_embedding),
                                       branch.prompts.packed()),
                  -1);
    CHECK(check::same(y.to(Device::cpu()), expected.to(Device::cpu())));
    // The embeddings and the norms; the encoder itself has more than twenty.
    if (i >= 2) CHECK(cost.launches <= 8);
    CHECK(whole_models::cost_of([&] { (void)branch.text_features(); }).launches == 0);
  }
}
}  // namespace text_encoder_test
