#include <limits>

#include "devices.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/wtal/train/losses.hpp"

using namespace tandem;
// In a namespace of its own, since tests are compiled together and wtal has a detail too.
namespace loss_kd_test {

using namespace tandem::wtal;

namespace {

/// Labels of videos of which each has some classes, frames of all three states, padding behind and
/// a hole in the middle.
struct Labelled {
  Tensor<std::int32_t> h;
  Tensor<bool> valid;
};
Labelled labelled(std::int64_t videos, std::int64_t frames, std::int64_t classes,
                  std::uint64_t seed) {
  Generator random(seed);
  Tensor<std::int32_t> h = randint<std::int32_t>({videos, frames, classes}, -1, 2, random);
  const Tensor<std::int32_t> sort = randint<std::int32_t>({videos, frames}, 0, 3, random);
  Tensor<bool> valid(Shape{videos, frames});
  for (std::int64_t b = 0; b < videos; ++b) {
    for (std::int64_t t = 0; t < frames; ++t) {
      valid.set({b, t}, t == 0 || (t < frames - 2 * b && t % 11 != 5));
      for (std::int64_t c = 0; c < classes; ++c) {
        // Only every third class is of the label; a third of the frames is background
        if (c % 3 != b % 3 || sort.at({b, t}) == 0) h.set({b, t, c}, 0);
        if (!valid.at({b, t})) h.set({b, t, c}, -1);
      }
    }
  }
  return {h, valid};
}

std::vector<DistillationOptions> ways() {
  std::vector<DistillationOptions> out;
  for (const Reading reading : {Reading::sigmoid, Reading::softmax}) {
    out.push_back({.reading = reading});
    out.push_back({.reading = reading, .every_entry = true});
    out.push_back({.reading = reading, .foreground = false});
    out.push_back({.reading = reading, .background = false});
  }
  return out;
}

}  // namespace

TEST_CASE("loss_kd: float follows double on every device, frames and classes of every number") {
  for (const std::int64_t frames : {1, 33, 131}) {
    for (const std::int64_t classes : {1, 5, 37}) {
      CAPTURE(frames);
      CAPTURE(classes);
      const Labelled l = labelled(2, frames, classes, 7);
      for (const DistillationOptions& options : ways()) {
        devices::each([&](Device device) {
          // A mean over frames of sums over up to 37 classes, each term below 10 (scores below 5
          // in size) with an error of a few roundings; up to 9 more additions in a row on the way
          // through the lanes of a warp, 16 over warps and parts. Gradients: p/(1 − p) of a
          // softmax is at most e⁵ of the smallest of 2 classes, times 37 of them.
          const double terms = static_cast<double>(classes) * 10;
          devices::float_follows_double(
              device,
              [&](const auto& x) {
                return loss_kd(x[0], l.h.to(x[0].device()), l.valid.to(x[0].device()), options);
              },
              {devices::normal({2, frames, classes}, 3)}, 32 * terms * devices::float_eps);
        });
      }
    }
  }
}

TEST_CASE("loss_kd: a device's double is the CPU's to rounding, certainties included") {
  const Labelled l = labelled(3, 23, 6, 2);
  for (const double loud : {1.0, 30.0, 1e4}) {
    CAPTURE(loud);
    const Tensor<double> scores = devices::normal({3, 23, 6}, 8) * loud;
    for (const DistillationOptions& options : ways()) {
      const auto run = [&](Device device) {
        Tensor<double> x = scores.to(device).clone();
        x.requires_grad_();
        const Tensor<double> loss = loss_kd(x, l.h.to(device), l.valid.to(device), options);
        loss.backward();
        return std::vector{loss.detach().to(Device::cpu()), x.grad().to(Device::cpu())};
      };
      const auto expected = run(Device::cpu());
      const auto got = devices::same_in_every_order(run);
      // log(1e-6) = 14 a class. The CPU takes 1 − p by subtraction: of p within 1e-6 of 1 that
      // leaves ε/1e-6 of it, which a softmax multiplies by slopes of 1e6·p with p ≤ 1.
      const double subtraction = 0x1p-53 / 1e-6 * 4;
      CHECK(check::distance(got[0], expected[0]) <= 6 * 14 * 32 * 0x1p-53 + 6 * subtraction);
      CHECK(check::distance(got[1], expected[1]) <= 6 * 1e6 * 32 * 0x1p-53);
    }
  }
}

TEST_CASE("loss_kd: gradients by differences on every device; the same bits in any order") {
  const Labelled l = labelled(2, 9, 4, 5);
  for (const DistillationOptions& options : ways()) {
    devices::each([&](Device device) {
      devices::gradients(
          device,
          [&](const auto& x) { return loss_kd(x[0], l.h.to(device), l.valid.to(device), options); },
          {check::normal({2, 9, 4}, 3)});
    });
  }
  const Labelled many = labelled(2, 150, 7, 6);
  devices::same_in_every_order([&](Device device) {
    Tensor<float> x = check::cast<float>(devices::normal({2, 150, 7}, 4)).to(device);
    x.requires_grad_();
    const Tensor<float> loss = loss_kd(x, many.h.to(device), many.valid.to(device));
    loss.backward();
    return std::vector{loss.detach(), x.grad()};
  });
}

TEST_CASE("loss_kd: nothing confident gives 0, nothing at all too; devices must agree") {
  devices::each([&](Device device) {
    for (const std::int64_t frames : {0, 3}) {
      Tensor<float> x = ones<float>({1, frames, 2}, device);
      x.requires_grad_();
      const Tensor<float> loss = loss_kd(x, full<std::int32_t>({1, frames, 2}, -1, device),
                                         full<bool>({1, frames}, true, device));
      CHECK(loss.item() == 0);
      loss.backward();
      CHECK(check::same(x.grad().to(Device::cpu()), zeros<float>({1, frames, 2})));
      const NoGrad no_grad;
      CHECK(loss_kd(x, zeros<std::int32_t>({1, frames, 2}, device),
                    full<bool>({1, frames}, true, device))
                .item() == doctest::Approx(frames == 0 ? 0 : 2 * 1.3132617));
    }
  });
  CHECK(check::message([] {
          (void)loss_kd(ones<float>({1, 2, 2}, Device::cuda()), zeros<std::int32_t>({1, 2, 2}),
                        ones<bool>({1, 2}));
        }) == "[loss_kd] inputs are on different devices: cuda:0 and cpu");
  devices::each([&](Device device) {
    const Tensor<float> bad =
        full<float>({1, 2, 2}, std::numeric_limits<float>::quiet_NaN(), device);
    for (const DistillationOptions& options : ways()) {
      const float loss = loss_kd(bad, zeros<std::int32_t>({1, 2, 2}, device),
                                 full<bool>({1, 2}, true, device), options)
                             .item();
      CHECK((options.background ? loss != loss : loss == 0));
    }
  });
}

}  // namespace loss_kd_test
