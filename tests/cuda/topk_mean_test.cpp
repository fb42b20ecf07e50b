#include <cmath>

#include "devices.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/wtal/train/losses.hpp"

using namespace tandem;

namespace {

/// Videos of different lengths, with frames missing in the middle of the first.
Tensor<bool> valid_frames(std::int64_t videos, std::int64_t frames) {
  Tensor<bool> valid(Shape{videos, frames});
  for (std::int64_t b = 0; b < videos; ++b) {
    for (std::int64_t t = 0; t < frames; ++t)
      valid.set({b, t}, t == 0 || (t < frames - 3 * b && (b > 0 || t % 5 != 2)));
  }
  return valid;
}

}  // namespace

TEST_CASE("topk_mean: float follows double on every device, every length") {
  for (const std::int64_t frames : {1, 7, 33, 64, 257, 1031}) {
    CAPTURE(frames);
    const Tensor<bool> valid = valid_frames(2, frames);
    devices::each([&](Device device) {
      for (const std::int64_t divisor : {1, 8}) {
        // The mean of at most 1031 numbers below 5; the gradient is one division.
        devices::float_follows_double(
            device,
            [&](const auto& x) { return wtal::topk_mean(x[0], valid.to(x[0].device()), divisor); },
            {devices::normal({2, frames, 3}, 1)}, 50 * 5 * devices::float_eps);
      }
    });
  }
}

TEST_CASE("topk_mean: as many frames as a block's shared memory has room for, of any size") {
  for (const std::int64_t frames : {2049, 4096}) {
    CAPTURE(frames);
    const Tensor<bool> valid = valid_frames(1, frames);
    const Tensor<double> x = devices::normal({1, frames, 1}, 5);
    const double expected = wtal::topk_mean(x, valid, 8).item(),
                 got = wtal::topk_mean(x.to(Device::cuda()), valid.to(Device::cuda()), 8).item();
    CHECK(std::fabs(got - expected) <= 512 * 5 * 0x1p-53);  // a mean of at most 512 numbers below 5
  }
}

TEST_CASE("topk_mean: equal scores: the earlier frames are taken, on every device; long videos") {
  for (const std::int64_t frames : {37, 4099}) {
    const Tensor<bool> valid = valid_frames(1, frames);
    const auto gradient = [&](Device device) {
      Tensor<float> x =
          check::cast<float>(check::cast<std::int64_t>(devices::normal({1, frames, 3}, 2) * 2))
              .to(device);
      x.requires_grad_();
      wtal::topk_mean(x, valid.to(device)).backward(ones<float>({1, 3}, device));
      return x.grad().to(Device::cpu());
    };
    const Tensor<float> expected = gradient(Device::cpu());
    for (int order = 0; order < (frames > 1000 ? 1 : backend::orders); ++order) {
      backend::set_order(order);
      CHECK(check::same(gradient(Device::cuda()), expected));
    }
    backend::set_order(0);
  }
}

TEST_CASE(
    "topk_mean: gradients on every device; the same bits in any order; a video without frames") {
  const Tensor<bool> valid = valid_frames(3, 17);
  devices::each([&](Device device) {
    devices::gradients(device,
                       [&](const auto& x) { return wtal::topk_mean(x[0], valid.to(device), 3); },
                       {check::normal({3, 17, 2}, 3)});
  });
  devices::same_in_every_order([&](Device device) {
    return std::vector{wtal::topk_mean(
        check::cast<float>(devices::normal({3, 17, 5}, 4)).to(device), valid.to(device), 2)};
  });
  const Tensor<float> x = ones<float>({2, 3, 1}, Device::cuda());
  Tensor<bool> half = ones<bool>({2, 3});
  for (std::int64_t t = 0; t < 3; ++t) half.set({1, t}, false);
  const Tensor<float> y = wtal::topk_mean(x, half.to(Device::cuda())).to(Device::cpu());
  CHECK(y.at({0, 0}) == 1);
  CHECK(y.at({1, 0}) != y.at({1, 0}));
}
