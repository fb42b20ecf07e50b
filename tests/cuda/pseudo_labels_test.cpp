#include "tandem/wtal/train/pseudo_labels.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;
// In a namespace of its own, since tests are compiled together and wtal has a detail too.
namespace pseudo_labels_test {

using namespace tandem::wtal;

namespace {

std::vector<PseudoLabelOptions> rules() {
  return {{},
          {.high = 0.7, .low = 0.7},
          {.rule = PseudoLabelRule::calibrated},
          {.rule = PseudoLabelRule::ranked},
          {.rule = PseudoLabelRule::ranked, .ranked_foreground = 0.3, .ranked_background = 0.7},
          {.rule = PseudoLabelRule::ranked, .ranked_foreground = 0, .ranked_background = 0.29},
          {.rule = PseudoLabelRule::min_max}};
}

struct Scores {
  Tensor<double> p, y, shares;
  Tensor<bool> valid;
};
/// Probabilities with equal ones among them, 0, 1, and a NaN; padding behind and in the middle.
Scores scores(std::int64_t videos, std::int64_t frames, std::int64_t classes) {
  Scores s{.p = check::cast<double>(
               check::cast<float>(sigmoid(devices::normal({videos, frames, classes}, 4) * 2))),
           .y = zeros<double>({videos, classes}),
           .shares = zeros<double>({videos, classes}),
           .valid = Tensor<bool>(Shape{videos, frames})};
  for (std::int64_t b = 0; b < videos; ++b) {
    for (std::int64_t c = 0; c < classes; ++c) {
      s.y.set({b, c}, (b + c) % 3 == 2 ? 0 : 1);
      s.shares.set({b, c}, static_cast<double>((b + 2 * c) % 8) / 7);
    }
    for (std::int64_t t = 0; t < frames; ++t) {
      s.valid.set({b, t}, t < frames - 5 * b && t % 13 != 6);
      if (t % 7 == 3) s.p.set({b, t, 0}, s.p.at({b, t / 2, 0}));
      if (t % 17 == 5) s.p.set({b, t, 0}, t % 2);
      if (t % 19 == 2) s.p.set({b, t, 0}, std::numeric_limits<double>::quiet_NaN());
    }
  }
  return s;
}
template <class T>
Tensor<std::int32_t> labels_on(const Scores& s, const PseudoLabelOptions& options, Device device) {
  return pseudo_labels(check::cast<T>(s.p).to(device), check::cast<T>(s.y).to(device),
                       s.valid.to(device), options, check::cast<T>(s.shares).to(device))
      .to(Device::cpu());
}

}  // namespace

TEST_CASE("pseudo_labels: a device's labels are the CPU's, by every rule, frames of every number") {
  for (const std::int64_t frames : {1, 2, 33, 64, 150}) {
    CAPTURE(frames);
    const Scores s = scores(3, frames, 4);
    for (const PseudoLabelOptions& options : rules()) {
      CAPTURE(static_cast<int>(options.rule));
      const Tensor<std::int32_t> of_float = labels_on<float>(s, options, Device::cpu()),
                                 of_double = labels_on<double>(s, options, Device::cpu());
      devices::each([&](Device device) {
        CHECK(check::same(labels_on<float>(s, options, device), of_float));
        CHECK(check::same(labels_on<double>(s, options, device), of_double));
      });
    }
  }
}

TEST_CASE("pseudo_labels: videos longer than a block's shared memory; no frame at all") {
  const Scores s = scores(1, 4099, 2);
  for (const PseudoLabelOptions& options : rules()) {
    CAPTURE(static_cast<int>(options.rule));
    CHECK(check::same(labels_on<float>(s, options, Device::cuda()),
                      labels_on<float>(s, options, Device::cpu())));
    const Scores none = scores(2, 0, 3);
    CHECK(labels_on<float>(none, options, Device::cuda()).numel() == 0);
    Scores padded = scores(1, 9, 2);
    padded.valid.fill_(false);
    CHECK(check::same(labels_on<float>(padded, options, Device::cuda()),
                      full<std::int32_t>({1, 9, 2}, -1)));
  }
}

TEST_CASE("pseudo_labels: as many frames as a block's shared memory has room for, of any size") {
  for (const std::int64_t frames : {2049, 4096}) {
    CAPTURE(frames);
    const Scores s = scores(1, frames, 1);
    for (const PseudoLabelRule rule : {PseudoLabelRule::ranked, PseudoLabelRule::calibrated}) {
      CHECK(check::same(labels_on<double>(s, {.rule = rule}, Device::cuda()),
                        labels_on<double>(s, {.rule = rule}, Device::cpu())));
    }
  }
}

TEST_CASE("pseudo_labels: a share that is none leaves a class undecided; wrong rules are refused") {
  const Device gpu = Device::cuda();
  const Tensor<float> p = full<float>({1, 4, 1}, 0.5f, gpu), y = ones<float>({1, 1}, gpu);
  const Tensor<bool> valid = full<bool>({1, 4}, true, gpu);
  for (const float share : {-0.1f, 1.5f, std::numeric_limits<float>::quiet_NaN()}) {
    CHECK(check::same(pseudo_labels(p, y, valid, {.rule = PseudoLabelRule::calibrated},
                                    full<float>({1, 1}, share, gpu))
                          .to(Device::cpu()),
                      full<std::int32_t>({1, 4, 1}, -1)));
  }
  CHECK(check::message([&] { (void)pseudo_labels(p, y, valid, {.high = 0.1, .low = 0.3}); }) ==
        "[pseudo_labels] thresholds must satisfy 0 ≤ low ≤ high ≤ 1, they are 0.3 and 0.1");
}

}  // namespace pseudo_labels_test
