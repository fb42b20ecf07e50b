#include "tandem/ops/bce_with_logits.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

/// σ of normal numbers: targets in (0, 1) that float holds exactly.
Tensor<double> targets(const Shape& shape, std::uint64_t seed) {
  return check::cast<double>(check::cast<float>(sigmoid(check::normal(shape, seed))));
}
/// true where a normal number is above −½.
Tensor<bool> some(const Shape& shape, std::uint64_t seed) {
  Tensor<bool> mask(shape);
  const std::vector<double> x = check::normal(shape, seed).to_vector();
  for (std::size_t i = 0; i < x.size(); ++i) mask.mutable_data()[i] = x[i] > -0.5;
  return mask;
}
/// One part of a sum (4096 elements), and more.
const std::vector<std::int64_t> lengths = {1, 31, 33, 257, 4096, 4097, 9001};

template <class T>
std::vector<Tensor<T>> run(Device device, std::int64_t n, Reduction reduction, bool weights,
                           bool masked) {
  Tensor<T> x = check::cast<T>(devices::normal({n}, 1)).to(device);
  x.requires_grad_();
  BceOptions<T> options{.reduction = reduction};
  if (weights) options.weight = check::cast<T>(targets({n}, 3)).to(device);
  if (masked) options.mask = some({n}, 4).to(device);
  const Tensor<T> loss = bce_with_logits(x, check::cast<T>(targets({n}, 2)).to(device), options);
  loss.backward(check::cast<T>(devices::normal(loss.shape(), 5)).to(device));
  return {loss.detach(), x.grad()};
}

}  // namespace

TEST_CASE(
    "bce_with_logits: float follows double on every device, every size, weights, masks and "
    "reductions") {
  for (const std::int64_t n : lengths) {
    CAPTURE(n);
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
      for (const bool weights : {false, true}) {
        for (const bool masked : {false, true}) {
          if (n > 257 && weights != masked) continue;
          const auto exact = run<double>(Device::cpu(), n, reduction, weights, masked);
          devices::each([&](Device device) {
            const auto got = run<float>(device, n, reduction, weights, masked);
            // Losses below 10, two functions and ten roundings each; a sum adds those of a thread,
            // of the threads and of the parts.
            const double terms =
                reduction == Reduction::none ? 1 : static_cast<double>(n) / 256 + 300;
            const double largest = reduction == Reduction::sum ? static_cast<double>(n) : 1;
            CHECK(check::distance(got[0], exact[0]) <=
                  (10 + 2 * devices::function_error + terms) * 10 * largest * devices::float_eps);
            // |σ − t| ≤ 1, |dy| < 5, an exponential and ten roundings.
            CHECK(check::distance(got[1], exact[1]) <=
                  (10 + devices::function_error) * 5 * devices::float_eps);
          });
        }
      }
    }
  }
}

TEST_CASE("bce_with_logits: gradients on every device") {
  const Tensor<double> x = check::normal({3, 7}, 1), t = targets({3, 7}, 2), w = targets({3, 7}, 3);
  const Tensor<bool> mask = some({3, 7}, 4);
  devices::each([&](Device device) {
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
      devices::gradients(
          device, [&](const auto& v) { return bce_with_logits(v[0], t.to(device), reduction); },
          {x});
      devices::gradients(
          device,
          [&](const auto& v) {
            return bce_with_logits(
                v[0], t.to(device),
                {.reduction = reduction, .weight = w.to(device), .mask = mask.to(device)});
          },
          {x});
    }
  });
}

TEST_CASE(
    "bce_with_logits: what a mask hides, nothing at all, and large logits mean the same on every "
    "device") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  devices::each([&](Device device) {
    Tensor<float> x = tensor<float>({nan, 2, inf, 1000, -1000}).to(device);
    x.requires_grad_();
    const Tensor<float> t = tensor<float>({nan, 1, nan, 0, 0}).to(device);
    const Tensor<bool> mask = tensor<bool>({false, true, false, true, true}).to(device);
    const Tensor<float> loss = bce_with_logits(x, t, {.mask = mask});
    CHECK(loss.item() == doctest::Approx((std::log1p(std::exp(-2.0)) + 1000) / 3));
    loss.backward();
    const std::vector<float> dx = x.grad().to(Device::cpu()).to_vector();
    CHECK(dx[0] == 0);
    CHECK(dx[2] == 0);
    CHECK(dx[3] == doctest::Approx(1.0 / 3));
    CHECK(dx[4] == 0);
    x.zero_grad();
    const Tensor<float> none = bce_with_logits(x, t, {.mask = zeros<bool>({5}, device)});
    CHECK(none.item() == 0);
    none.backward();
    CHECK(check::same(x.grad(), zeros<float>({5})));
    CHECK(bce_with_logits(zeros<float>({0}, device), zeros<float>({0}, device)).item() == 0);
  });
  const std::int64_t before = waits();
  const Tensor<float> there = ones<float>({5}, Device::cuda());
  (void)bce_with_logits(there, there, {.mask = ones<bool>({5}, Device::cuda())});
  CHECK(waits() == before);
  CHECK(check::message([&] { (void)bce_with_logits(there, ones<float>({5})); }) ==
        "[bce_with_logits] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE("bce_with_logits: the same bits in any order of the threads") {
  for (const std::int64_t n : {257, 9001}) {
    devices::same_in_every_order(
        [&](Device device) { return run<float>(device, n, Reduction::mean, true, true); });
  }
}
