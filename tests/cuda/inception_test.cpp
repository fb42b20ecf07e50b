/// The whole I3D on every device against the CPU: evaluated, folded, trained; launches and waits.

#include "tandem/i3d/inception.hpp"

#include "whole_models.hpp"

using namespace tandem;
namespace inception_test {
using whole_models::relative;

namespace {

/// The last pool covers Mixed_5c of clips of 9 to 16 frames, and of 33 to 64 rows and columns.
i3d::Config config(std::int64_t narrower) {
  i3d::Config c = i3d::Config{.classes = 7}.narrowed(narrower);
  c.window = {2, 2, 2};
  return c;
}

/// The same network for all element types, with running statistics of their own.
template <class T>
Ref<i3d::InceptionI3d<T>> network(const i3d::Config& c) {
  Generator random(7);
  const auto net = make_ref<i3d::InceptionI3d<T>>(c, random);
  const NoGrad no_grad;
  for (i3d::Unit<T>* unit : net->units()) {
    unit->bn.running_mean.copy_(randn<T>(unit->bn.running_mean.shape(), random, 0, 0.1));
    unit->bn.running_var.copy_(rand<T>(unit->bn.running_var.shape(), random));
    unit->bn.running_var += 0.5;
    unit->bn.weight.copy_(rand<T>(unit->bn.weight.shape(), random));
    unit->bn.weight += 1;
    unit->bn.bias.copy_(randn<T>(unit->bn.bias.shape(), random, 0, 0.3));
  }
  whole_models::round_to_float(*net);
  net->eval();
  return net;
}
Tensor<double> clip(const Shape& shape) { return devices::normal(shape, 3); }

/// Features and logits on a device, unfolded and then folded there.
template <class T>
std::vector<Tensor<T>> evaluated(const i3d::Config& c, const Shape& shape, Device device) {
  const NoGrad no_grad;
  std::vector<Tensor<T>> out;
  const Tensor<T> x = check::cast<T>(clip(shape)).to(device);
  const auto add = [&](const i3d::InceptionI3d<T>& net) {
    const i3d::Outputs<T> y = net.run(x);
    CHECK(y.logits.device() == device);
    out.push_back(y.features), out.push_back(y.logits);
  };
  const auto net = network<T>(c);
  net->to(device);
  add(*net);
  net->prepare();  // on a GPU: folded there
  add(*net);
  for (Tensor<T>& tensor : out) tensor = tensor.to(Device::cpu());
  return out;
}

/// A step of training: logits, running statistics, and the gradients of the clip and of all
/// parameters.
template <class T>
std::vector<Tensor<T>> trained(const i3d::Config& c, const Shape& shape, Device device) {
  const auto net = network<T>(c);
  net->to(device);
  net->train();
  const Tensor<T> x = check::cast<T>(clip(shape)).to(device);
  x.requires_grad_();
  const Tensor<T> y = net->forward(x);
  y.backward(check::cast<T>(devices::normal(y.shape(), 9)).to(device));
  std::vector<Tensor<T>> out{y.detach(), x.grad()};
  for (const Tensor<T>& p : net->parameters()) out.push_back(p.grad());
  for (i3d::Unit<T>* unit : net->units()) {
    out.push_back(unit->bn.running_mean), out.push_back(unit->bn.running_var);
    CHECK(unit->bn.num_batches_tracked.item() == 1);
  }
  for (Tensor<T>& tensor : out) tensor = tensor.to(Device::cpu()).clone();
  return out;
}

void follows_the_cpu(const i3d::Config& c, const Shape& shape) {
  const auto exact = evaluated<double>(c, shape, Device::cpu()),
             in_double = evaluated<double>(c, shape, Device::cuda());
  const auto got = devices::same_in_every_order(
      [&](Device device) { return evaluated<float>(c, shape, device); });
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(i);
    // 22 layers, each adding roundings of 2⁻²⁴ to sums whose terms mostly cancel at random.
    CHECK(relative(got[i], exact[i]) < 5e-6);
    CHECK(relative(in_double[i], exact[i]) < 5e-6 * 0x1p-29);
  }
}

}  // namespace

TEST_CASE("I3D: features and logits are the CPU's, unfolded and folded") {
  follows_the_cpu(config(64), {1, 3, 9, 33, 33});
}
TEST_CASE("I3D: a training step, statistics, and the gradients of everything are the CPU's") {
  const Shape shape{2, 3, 9, 33, 34};
  const auto exact = trained<double>(config(64), shape, Device::cpu()),
             got = trained<double>(config(64), shape, Device::cuda());
  REQUIRE(got.size() == exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(i);
    CHECK(check::distance(got[i], exact[i]) <= 1e-9);
  }
}
// The executor takes long for it: among the long tests (cuda_executor/long).
TEST_CASE("long: I3D on 16 frames of 64 x 64" * doctest::skip()) {
  follows_the_cpu(config(16), {1, 3, 16, 64, 64});
}

TEST_CASE("I3D: nothing waits in evaluation or training; what stays on the CPU says so") {
  const Device gpu = Device::cuda();
  const auto c = config(64);
  const auto net = network<float>(c);
  net->to(gpu);
  const Tensor<float> x = check::cast<float>(clip({1, 3, 9, 33, 33})).to(gpu);
  Tensor<float> y;
  const auto forward = [&] {
    const NoGrad no_grad;
    y = net->features(x);
  };
  const whole_models::Cost plain = whole_models::cost_of(forward);
  net->train();
  CHECK(whole_models::cost_of([&] { y = net->forward(x); }).waits == 0);
  net->prepare();
  const whole_models::Cost folded = whole_models::cost_of(forward);
  MESSAGE("I3D: ", plain.launches, " launches, folded ", folded.launches);
  CHECK(plain.waits == 0);
  CHECK(folded.waits == 0);
  CHECK(folded.launches < plain.launches);
  CHECK(folded.launches <= 220);

  // Prepared on the CPU, and then moved: as folded.
  const auto moved = network<float>(c);
  moved->prepare();
  const Tensor<float> here = moved->features(x.to(Device::cpu()));
  moved->to(gpu);
  CHECK(relative(moved->features(x), here) < 1e-5);  // 5e-6 from the exact one, both
  moved->to(Device::cpu());
  CHECK(check::same(moved->features(x.to(Device::cpu())), here));

  CHECK(check::message([&] { net->prepare({.bfloat16 = true}); }) ==
        "[i3d] the weights are kept as bfloat16 on the CPU only, they are on cuda:0");
  const auto low = network<float>(c);
  low->prepare({.bfloat16 = true});
  CHECK(check::message([&] { (void)low->features(x); }) ==
        "[i3d] the weights are kept as bfloat16, which stay on the CPU: the clips are on cuda:0, "
        "where a PrecisionScope of bfloat16 does as much");
}

TEST_CASE("I3D: in bfloat16 a GPU's features are the CPU's that keeps bfloat16, and not float's") {
  const auto c = config(64);
  const Tensor<float> x = check::cast<float>(clip({1, 3, 9, 33, 33}));
  const auto kept = network<float>(c), folded = network<float>(c);
  kept->prepare({.bfloat16 = true});
  folded->prepare();
  const NoGrad no_grad;
  const Tensor<float> here = kept->features(x), full = folded->features(x);
  folded->to(Device::cuda());
  const auto got = devices::same_in_every_order([&](Device device) {
    const PrecisionScope products(Precision::bfloat16);
    const std::int64_t waited = waits();
    const std::vector<Tensor<float>> out{folded->features(x.to(device))};
    CHECK(waits() == waited);
    return out;
  });
  // Both round the same factors to 8 bits; the CPU's sums are rounded once more where they are
  // kept, a rounding of 2⁻⁹ of each element before the mean, and a sum within float's roundings of
  // the middle between two is now one, now the other, which 22 layers pass on: 2⁻⁸ at most each, at
  // random.
  CHECK(relative(got[0], here) < 4 * 0x1p-8);
  // Against float: factors are off by up to 2⁻⁹ each in 22 layers in a row.
  const double low = relative(got[0], full);
  CHECK(low > 1e-5);
  CHECK(low < 22 * 0x1p-8);
}
}  // namespace inception_test
