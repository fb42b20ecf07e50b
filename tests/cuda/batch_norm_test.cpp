#include "tandem/ops/batch_norm.hpp"

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/fold_batch_norm.hpp"

using namespace tandem;

namespace {

/// Numbers of each channel: near 1, around 0, and variances.
template <class T>
struct ChannelNumbers {
  Tensor<T> gamma, beta, mean, variance;
  ChannelNumbers(std::int64_t channels, Device device)
      : gamma(check::cast<T>(devices::normal({channels}, 2)).to(device)),
        beta(check::cast<T>(devices::normal({channels}, 3)).to(device)),
        mean(check::cast<T>(devices::normal({channels}, 4)).to(device)),
        variance(full<T>({channels}, 1, device)) {
    Tensor<T> v = check::cast<T>(devices::normal({channels}, 5));
    for (std::int64_t c = 0; c < channels; ++c) {
      const T one = v.data()[c];
      v.mutable_data()[c] = one * one + T(0.5);
    }
    variance = v.to(device);
  }
};

/// y, the gradients of x, γ and β, and the running statistics afterwards.
template <class T>
std::vector<Tensor<T>> batch_norm_run(Device device, const Tensor<double>& input, bool training,
                                      bool affine) {
  Tensor<T> x = check::cast<T>(input).to(device);
  x.requires_grad_();
  ChannelNumbers<T> p(input.size(1), device);
  if (affine) p.gamma.requires_grad_(), p.beta.requires_grad_();
  const Tensor<T> y =
      batch_norm(x, affine ? p.gamma : Tensor<T>(), affine ? p.beta : Tensor<T>(), p.mean,
                 p.variance, {.training = training, .momentum = 0.3, .epsilon = 1e-3});
  y.backward(check::cast<T>(devices::normal(y.shape(), 6)).to(device));
  std::vector<Tensor<T>> out{y.detach(), x.grad(), p.mean, p.variance};
  if (affine) out.push_back(p.gamma.grad()), out.push_back(p.beta.grad());
  return out;
}

const std::vector<Shape> batch_norm_shapes = {
    {2, 1},     {33, 3},     {5, 197},     {2, 3, 5},         {3, 5, 2, 3, 7},
    {1, 3, 33}, {2, 2, 257}, {1, 2, 4097}, {3, 1, 2, 37, 41}, {2, 600, 2},
    {7, 2, 1},  {4, 300, 1}, {9001, 2},    {2, 1, 9001}};

}  // namespace

TEST_CASE("batch_norm: float follows double on every device, every layout of channels") {
  for (const Shape& shape : batch_norm_shapes) {
    for (const bool training : {true, false}) {
      for (const bool affine : {true, false}) {
        CAPTURE(shape);
        CAPTURE(training);
        CAPTURE(affine);
        const Tensor<double> x = devices::normal(shape, 1);
        const auto exact = batch_norm_run<double>(Device::cpu(), x, training, affine);
        devices::each([&](Device device) {
          const auto got = batch_norm_run<float>(device, x, training, affine);
          REQUIRE(got.size() == exact.size());
          // Numbers of a channel, and the roundings of its sums: of a thread, the threads, slices.
          const double n = static_cast<double>(x.numel() / shape[1]), sums = n / 32 + 64;
          // s ≤ 1/√0.001 < 32 where a batch hardly varies, else below 2; |x| < 5, |γ| < 4, |dy| <
          // 5.
          const double s = n < 8 ? 32 : 2, hat = s * 8;
          const double y = (sums * s * s + 12) * hat * 4;
          CHECK(check::distance(got[0], exact[0]) <= y * devices::float_eps);
          // Three terms of |dy|·γ·s, the last times x̂² of at most n.
          const double factor = 5 * 4 * s, dx = factor * (1 + hat * (n < 8 ? n : 8));
          CHECK(check::distance(got[1], exact[1]) <=
                (2 * sums * s * s + 30) * dx * devices::float_eps);
          CHECK(check::distance(got[2], exact[2]) <= (sums + 4) * 5 * devices::float_eps);
          CHECK(check::distance(got[3], exact[3]) <= (sums + 8) * 25 * devices::float_eps);
          if (!affine) return;
          // Sums of n terms below 5·x̂, and of dy.
          CHECK(check::distance(got[4], exact[4]) <=
                n * 5 * hat * (sums * s * s + 12) * devices::float_eps);
          CHECK(check::distance(got[5], exact[5]) <= n * 5 * sums * devices::float_eps);
        });
      }
    }
  }
}

TEST_CASE("batch_norm: gradients on every device, in training and outside") {
  devices::each([](Device device) {
    for (const bool training : {true, false}) {
      for (const Shape& shape : {Shape{2, 3, 1, 2, 5}, Shape{3, 3}, Shape{1, 3, 33}}) {
        devices::gradients(device,
                           [&](const auto& v) {
                             // Made anew, so that gradcheck sees the same function each time.
                             const ChannelNumbers<double> p(3, device);
                             return batch_norm(v[0], v[1], v[2], p.mean, p.variance,
                                               {.training = training, .epsilon = 1e-3});
                           },
                           {check::normal(shape, 1), check::normal({3}, 2), check::normal({3}, 3)});
      }
    }
    devices::gradients(
        device, [](const auto& v) { return batch_norm(v[0], {}, {}, {}, {}, {.training = true}); },
        {check::normal({2, 3, 5}, 4)});
    // γ alone needs a gradient.
    Tensor<float> gamma = ones<float>({3}, device),
                  x = check::cast<float>(check::normal({4, 3}, 7));
    gamma.requires_grad_();
    batch_norm(x.to(device), gamma, {}, {}, {}, {.training = true})
        .backward(ones<float>({4, 3}, device));
    // Σ x̂ = 0.
    CHECK(check::distance(gamma.grad().to(Device::cpu()), zeros<float>({3})) <=
          4 * 8 * 2 * devices::float_eps);
  });
}

TEST_CASE("batch_norm: far from zero, NaN, nothing at all, running statistics that are strided") {
  // x = 1000 + u is known to 2⁻¹⁵ in float, and so is μ.
  const Tensor<double> u = check::normal({3, 2, 4099}, 4);
  const Tensor<float> x = check::cast<float>(u + 1000);
  const Tensor<double> exact =
      batch_norm(check::cast<double>(x), {}, {}, {}, {}, {.training = true});
  devices::each([&](Device device) {
    CHECK(check::distance(batch_norm(x.to(device), {}, {}, {}, {}, {.training = true}), exact) <
          4 * 0x1p-15);
    Tensor<float> one = check::cast<float>(check::normal({4, 3, 5}, 5));
    one.set({1, 1, 2}, NAN);
    for (const bool training : {true, false}) {
      const auto run = [&](Device where) {
        ChannelNumbers<float> p(3, where);
        return std::vector{
            batch_norm(one.to(where), p.gamma, p.beta, p.mean, p.variance, {.training = training}),
            p.mean, p.variance};
      };
      const auto expected = run(Device::cpu()), got = run(device);
      for (std::size_t i = 0; i < 3; ++i)
        CHECK(check::distance(got[i], expected[i]) <= 4 * 25 * 90 * devices::float_eps);
    }
    const Tensor<float> mean = zeros<float>({1}, device), variance = ones<float>({1}, device);
    for (const Shape& shape : {Shape{0, 1, 2}, Shape{2, 1, 0}, Shape{0, 1}}) {
      Tensor<float> none = zeros<float>(shape, device);
      none.requires_grad_();
      const Tensor<float> y = batch_norm(none, {}, {}, mean, variance, {.training = true});
      CHECK(y.shape() == shape);
      y.backward(zeros<float>(shape, device));
      CHECK(none.grad().shape() == shape);
    }
    CHECK(mean.item() == 0);
    CHECK(batch_norm(zeros<float>({3, 0, 2}, device), {}, {}, {}, {}, {.training = true}).shape() ==
          Shape{3, 0, 2});
    const Tensor<float> both = zeros<float>({2, 2}, device);
    const Tensor<float> data = check::cast<float>(check::normal({4, 2, 3}, 1)).to(device);
    batch_norm(data, {}, {}, both.select(1, 0), both.select(1, 1),
               {.training = true, .momentum = 1});
    const Tensor<float> now = zeros<float>({2}, device), spread = zeros<float>({2}, device);
    batch_norm(data, {}, {}, now, spread, {.training = true, .momentum = 1});
    CHECK(check::same(both.select(1, 0).to(Device::cpu()), now.to(Device::cpu())));
    CHECK(check::same(both.select(1, 1).to(Device::cpu()), spread.to(Device::cpu())));
    CHECK(now.to(Device::cpu()).at({0}) != 0);
  });
  const Tensor<float> there = ones<float>({2, 3}, Device::cuda());
  const std::int64_t before = waits();
  (void)batch_norm(there, {}, {}, there[0].clone(), there[1].clone(), {.training = true});
  CHECK(waits() == before);
  CHECK(check::message([&] {
          batch_norm(there, ones<float>({3}), {}, {}, {}, {.training = true});
        }) == "[batch_norm] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE("batch_norm: the same bits in any order of the threads") {
  for (const Shape& shape :
       {Shape{5, 197}, Shape{3, 5, 2, 3, 7}, Shape{1, 2, 9001}, Shape{9001, 2}}) {
    devices::same_in_every_order([&](Device device) {
      return batch_norm_run<float>(device, devices::normal(shape, 1), true, true);
    });
  }
}

TEST_CASE("fold_batch_norm: the CPU's weights and biases on every device") {
  for (const Shape& shape :
       {Shape{4, 3, 1, 2, 2}, Shape{4}, Shape{33, 257}, Shape{0, 3}, Shape{3, 0}}) {
    const auto equal = [&]<class T>(T, double eps) {
      const std::int64_t out = shape[0];
      const auto run = [&](Device device, bool plain, bool strided) {
        const ChannelNumbers<T> p(out, device);
        Tensor<T> w = check::cast<T>(devices::normal(shape, 8)).to(device);
        if (strided) w = w.transpose(0, -1).contiguous().transpose(0, -1);
        const Tensor<T> none, bias = check::cast<T>(devices::normal({out}, 9)).to(device);
        const FoldedConv<T> folded =
            fold_batch_norm(w, plain ? none : bias, plain ? none : p.gamma, plain ? none : p.beta,
                            p.mean, p.variance, 1e-3);
        return std::vector{folded.weight.to(Device::cpu()), folded.bias.to(Device::cpu())};
      };
      for (const bool plain : {false, true}) {
        const auto expected = run(Device::cpu(), plain, false);
        devices::each([&](Device device) {
          for (const bool strided : {false, true}) {
            const auto got = run(device, plain, strided);
            // In double; the last sum may be fused. Numbers below 100.
            for (std::size_t i = 0; i < 2; ++i)
              CHECK(check::distance(got[i], expected[i]) <= 100 * eps);
          }
        });
      }
    };
    equal(float(), 0x1p-24);
    equal(double(), 0x1p-52);
  }
}
