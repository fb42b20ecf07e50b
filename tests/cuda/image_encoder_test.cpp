/// CLIP's whole image encoder on every device against the CPU: float and bfloat16, launches and
/// waits.

#include "tandem/clip/image_encoder.hpp"

#include "tandem/clip/captured_encoder.hpp"
#include "tandem/cuda/host_copy.hpp"
#include "whole_models.hpp"

using namespace tandem;
namespace image_encoder_test {
using whole_models::relative;

namespace {

/// Two blocks of two heads; everything else is small, too.
clip::ImageEncoderOptions small() {
  return {.resolution = 24, .patch = 8, .width = 32, .layers = 2, .heads = 2, .output = 20};
}
/// Heads of 64 columns, tokens over several tiles: 65 of them.
clip::ImageEncoderOptions larger() {
  return {.resolution = 64, .patch = 8, .width = 128, .layers = 2, .heads = 2, .output = 65};
}

template <class T>
Ref<clip::ImageEncoder<T>> encoder(const clip::ImageEncoderOptions& options) {
  Generator random(7);
  const auto made = make_ref<clip::ImageEncoder<T>>(options, random);
  whole_models::round_to_float(*made);
  return made;
}
Tensor<double> images(const clip::ImageEncoderOptions& o, std::int64_t count) {
  return devices::normal({count, 3, o.resolution, o.resolution}, 3);
}

/// Features on a device, and with `gradients` those of all parameters for a random cotangent.
template <class T>
std::vector<Tensor<T>> run(const clip::ImageEncoderOptions& o, std::int64_t count, Device device,
                           bool gradients) {
  const auto made = encoder<T>(o);
  made->to(device);
  if (!gradients) made->freeze();
  const Tensor<T> x = check::cast<T>(images(o, count)).to(device), y = made->forward(x);
  CHECK(y.device() == device);
  std::vector<Tensor<T>> out{y.detach()};
  if (gradients) {
    y.backward(check::cast<T>(devices::normal(y.shape(), 9)).to(device));
    for (const Tensor<T>& p : made->parameters()) out.push_back(p.grad());
  }
  for (Tensor<T>& tensor : out) tensor = tensor.to(Device::cpu());
  return out;
}

/// Forward, and backward to every parameter, in float and double.
void follows_the_cpu(const clip::ImageEncoderOptions& o, std::int64_t count) {
  const auto exact = run<double>(o, count, Device::cpu(), true),
             in_double = run<double>(o, count, Device::cuda(), true);
  const auto got = devices::same_in_every_order(
      [&](Device device) { return run<float>(o, count, device, true); });
  REQUIRE(got.size() == exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(i);
    // Each of the 13 products and 6 norms of a path adds roundings of sums of up to 4·width terms,
    // √512 ulps at random, forward and backward, some of what cancels: 19·2·23 < 900 ulps.
    CHECK(relative(got[i], exact[i]) < 900 * devices::float_eps);
    CHECK(relative(in_double[i], exact[i]) < 900 * 0x1p-53);
  }
}

/// Weights as bfloat16, moved to a device: features there, and the weights brought back.
void follows_in_bfloat16(const clip::ImageEncoderOptions& o, std::int64_t count) {
  const auto low = [&](Device device) {
    const auto made = encoder<float>(o);
    nn::keep_bfloat16(*made);
    made->to(device);
    std::size_t matrices = 0;
    for (const nn::Slot<float>& slot : made->slots()) {
      if (slot.matrix == nullptr) continue;
      ++matrices;
      CHECK(slot.matrix->bf16().device() == device);
    }
    CHECK(matrices == 9);
    const Tensor<float> y = made->forward(check::cast<float>(images(o, count)).to(device));
    made->to(Device::cpu());
    CHECK(check::same(made->forward(check::cast<float>(images(o, count))), [&] {
      const auto again = encoder<float>(o);
      nn::keep_bfloat16(*again);
      return again->forward(check::cast<float>(images(o, count)));
    }()));
    return std::vector<Tensor<float>>{y};
  };
  const auto got = devices::same_in_every_order(low);
  const Tensor<float> on_cpu = low(Device::cpu())[0];
  const Tensor<double> exact = run<double>(o, count, Device::cpu(), false)[0];
  // Sums in another order may turn the rounding of an activation to bfloat16, 2⁻⁹, the other way.
  CHECK(relative(got[0], on_cpu) < 4e-3);
  // Each of the 9 products of a path rounds both operands to 2⁻⁹/√3 standard deviations.
  CHECK(relative(got[0], exact) < 2e-2);
  CHECK(relative(got[0], exact) > 1e-5);  // or it was not bfloat16
}

}  // namespace

TEST_CASE("image encoder: features and the gradients of all parameters are the CPU's") {
  follows_the_cpu(small(), 3);
}
TEST_CASE("image encoder kept as bfloat16: it moves, and its features are the CPU's") {
  follows_in_bfloat16(small(), 3);
}
// The executor takes long for it: among the long tests (cuda_executor/long).
TEST_CASE("long: image encoder with heads of 64 columns and 65 tokens" * doctest::skip()) {
  follows_the_cpu(larger(), 2);
  follows_in_bfloat16(larger(), 2);
}

TEST_CASE("image encoder: nothing waits, and the launches are few") {
  const auto o = small();
  for (const bool low : {false, true}) {
    CAPTURE(low);
    const auto made = encoder<float>(o);
    made->freeze();
    if (low) nn::keep_bfloat16(*made);
    made->to(Device::cuda());
    const Tensor<float> x = check::cast<float>(images(o, 3)).to(Device::cuda());
    Tensor<float> y = made->forward(x);  // what is kept exists now
    const whole_models::Cost cost = whole_models::cost_of([&] { y = made->forward(x); });
    MESSAGE("an image encoder of two layers", std::string(low ? ", bfloat16" : ""), ": ",
            cost.launches, " launches");
    CHECK(cost.waits == 0);
    CHECK(cost.launches <= (low ? 40 : 30));
    CHECK(whole_models::cost_of([&] { (void)y.to(Device::cpu()); }).waits == 1);
  }
}

TEST_CASE(
    "image encoder: captured for each batch size, the bits of the usual forward, in every order") {
  const auto o = small();
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    CAPTURE(order);
    for (const bool low : {false, true}) {
      CAPTURE(low);
      const auto made = encoder<float>(o);
      made->freeze();
      if (low) nn::keep_bfloat16(*made);
      made->to(Device::cuda());
      clip::CapturedEncoder<float> captured(made);
      // Sizes in turn, each with other pictures; 3 and 2 come three times.
      std::uint64_t number = 0;
      for (const std::int64_t count : {3, 2, 3, 3, 2, 1, 2}) {
        const Tensor<float> x =
            check::cast<float>(devices::normal({count, 3, o.resolution, o.resolution}, ++number));
        const Tensor<float> expected = made->forward(x.to(Device::cuda()));
        const Tensor<float> got = captured.forward(number % 2 == 0 ? x : x.to(Device::cuda()));
        CHECK(check::same(got.to(Device::cpu()), expected.to(Device::cpu())));
      }
      CHECK(captured.graphs() == 2);
      CHECK(captured.graph_bytes() > 0);
      // Weights that change in place are seen; an encoder that moves is captured anew.
      const Tensor<float> x = check::cast<float>(images(o, 3));
      made->proj *= 2;
      CHECK(check::same(captured.forward(x).to(Device::cpu()),
                        made->forward(x.to(Device::cuda())).to(Device::cpu())));
      CHECK(captured.graphs() == 2);
      const auto held = made->class_embedding.storage();  // it comes to lie elsewhere
      made->to(Device::cpu());
      const Tensor<float> on_cpu = captured.forward(x);
      CHECK(check::same(on_cpu, made->forward(x)));
      made->to(Device::cuda());
      CHECK(check::same(captured.forward(x).to(Device::cpu()),
                        made->forward(x.to(Device::cuda())).to(Device::cpu())));
      CHECK(captured.graphs() == 0);
    }
  }
  backend::set_order(0);
}

TEST_CASE(
    "image encoder: captured, a batch is no launch and one wait; other precisions, many sizes") {
  const auto o = small();
  const auto made = encoder<float>(o);
  made->to(Device::cuda());
  clip::CapturedEncoder<float> captured(made);
  HostCopy<float> features;
  for (int i = 0; i < 4; ++i) {
    const Tensor<float> x = check::cast<float>(images(o, 3));
    const whole_models::Cost cost = whole_models::cost_of([&] {
      const Tensor<float> y = captured.forward(x);
      CHECK_FALSE(y.requires_grad());
      features.start(y);
      CHECK(features.get().size() == 60);
    });
    CHECK(cost.waits == 1);
    if (i >= 2) CHECK(cost.launches == 0);
  }
  // A precision is a graph of its own.
  const auto in_precision = [&](Precision precision) {
    const PrecisionScope scope(precision);
    (void)captured.forward(check::cast<float>(images(o, 3)));
    return captured.forward(check::cast<float>(images(o, 3))).to(Device::cpu()).clone();
  };
  const Tensor<float> full = in_precision(Precision::full), low = in_precision(Precision::bfloat16);
  CHECK(captured.graphs() == 2);
  CHECK(relative(low, full) > 1e-5);
  CHECK(relative(low, full) < 2e-2);
  // More sizes than graphs, and no pictures.
  for (int i = 0; i < 2; ++i) {
    for (std::int64_t count = 0; count < 12; ++count) {
      const Tensor<float> y = captured.forward(check::cast<float>(images(o, count)));
      CHECK(y.shape() == Shape{count, o.output});
    }
  }
  CHECK(captured.graphs() == static_cast<std::int64_t>(captured.most_graphs));
  CHECK(check::message([&] {
          (void)captured.forward(zeros<float>({2, 3, 5, 5}));
        }).find("expected images (B, 3, 24, 24), got (2, 3, 5, 5)") != std::string::npos);
  CHECK(check::message([] { clip::CapturedEncoder<float> none({}); }) ==
        "[captured_encoder] there is no encoder");
}
}  // namespace image_encoder_test
