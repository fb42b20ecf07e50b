#include "tandem/wtal/train/pseudo_labels.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "../ops/check.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "tandem/wtal/detect/label_census.hpp"

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// H of one video with one class, whose frames have these p.
std::vector<std::int32_t> labels_of(const std::vector<double>& p, const PseudoLabelOptions& options,
                                    double share = 0) {
  const auto rows = static_cast<std::int64_t>(p.size());
  const Tensor<std::int32_t> h =
      pseudo_labels(from_vector<double>(p).reshape({1, rows, 1}), ones<double>({1, 1}),
                    ones<bool>({1, rows}), options, full<double>({1, 1}, share));
  return {h.data(), h.data() + rows};
}
using Labels = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("pseudo_labels: thresholds are strict, and a NaN is undecided") {
  CHECK(labels_of({0.31, 0.3, 0.1, 0.09, NAN}, {}) == Labels{1, -1, -1, 0, -1});
}

TEST_CASE(
    "pseudo_labels, ranked: shares of the valid frames by p; the earlier of equals ranks higher") {
  const PseudoLabelOptions ranked{.rule = PseudoLabelRule::ranked};
  CHECK(labels_of({.1, .2, .3, .4, .5, .6, .7, .8}, ranked) == Labels{0, 0, 0, 0, -1, -1, -1, 1});
  CHECK(labels_of({.5, .5, .5, .5, .5, .5, .5, .5}, ranked) == Labels{1, -1, -1, -1, 0, 0, 0, 0});
  // At least one frame is foreground; a NaN takes no part.
  CHECK(labels_of({.2, NAN, .4, .3}, ranked) == Labels{0, -1, 1, -1});
  CHECK(labels_of({.2}, ranked) == Labels{1});
  CHECK(labels_of({.2, .1, .3, .4}, {.rule = PseudoLabelRule::ranked,
                                     .ranked_foreground = .5,
                                     .ranked_background = .5}) == Labels{0, 0, 1, 1});
  CHECK(labels_of({.2, .1}, {.rule = PseudoLabelRule::ranked,
                             .ranked_foreground = 0,
                             .ranked_background = 1}) == Labels{0, 0});
  // Nothing but the order counts.
  const auto level = [](double shift) {
    std::vector<double> p;
    for (int t = 0; t < 40; ++t) p.push_back(1 / (1 + std::exp(shift + std::sin(t * 1.7))));
    return p;
  };
  CHECK(labels_of(level(-4), ranked) == labels_of(level(5), ranked));
}

TEST_CASE("pseudo_labels, min-max: thresholds on the video's own scale") {
  const PseudoLabelOptions rule{.rule = PseudoLabelRule::min_max};
  CHECK(labels_of({.5, .6, .59, .52, .519, .7}, rule) == Labels{0, -1, -1, 0, 0, 1});
  CHECK(labels_of({.5, .5}, rule) == Labels{-1, -1});
  CHECK(labels_of({0, 1, .61, .19, .4}, rule) == Labels{0, 1, 1, 0, -1});
}

TEST_CASE("pseudo_labels, calibrated: the share is kept, and the width of the undecided band") {
  const PseudoLabelOptions rule{.rule = PseudoLabelRule::calibrated};
  const auto logit = [](double p) { return std::log(p / (1 - p)); };
  const auto sigmoid = [](double s) { return 1 / (1 + std::exp(-s)); };
  std::vector<double> p;
  for (int t = 0; t < 50; ++t) p.push_back(sigmoid(2 + 3 * std::sin(t * 2.3) + 0.01 * t));
  for (const double share : {0.0, 0.1, 0.24, 0.5, 0.98, 1.0}) {
    CAPTURE(share);
    // By the definition: the shift b found by bisection, then the two thresholds.
    const auto k = std::max(2L, std::lround(share * 50));
    std::vector<double> sorted = p;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const Labels h = labels_of(p, rule, share);
    CHECK(std::count(h.begin(), h.end(), 1) == k);
    if (k == 50) continue;
    const auto at = static_cast<std::size_t>(k);
    const double middle = (logit(sorted[at - 1]) + logit(sorted[at])) / 2;
    double low = -100, high = 100;  // σ(middle + b) rises with b
    for (int i = 0; i < 200; ++i)
      (sigmoid(middle + (low + high) / 2) < 0.3 ? low : high) = (low + high) / 2;
    for (std::size_t t = 0; t < p.size(); ++t) {
      const double q = sigmoid(logit(p[t]) + low);
      CHECK(h[t] == (q > 0.3 ? 1 : q < 0.1 ? 0 : -1));
    }
  }
  CHECK(labels_of({.2, .3}, rule, 0) == Labels{1, 1});  // two frames at least
  // Equal frames, and those that have become 1 or 0 in float: k are foreground all the same.
  CHECK(labels_of({1, 1, 1, 1, .5, .2, 0, 0}, rule, .25) == Labels{1, 1, -1, -1, 0, 0, 0, 0});
  CHECK(labels_of({0, 0, 0, 0}, rule, .5) == Labels{1, 1, -1, -1});
  CHECK(check::message([&] {
          (void)labels_of({.2, .3}, rule, NAN);
        }).find("needs the share") != std::string::npos);
}

TEST_CASE(
    "pseudo_labels: classes outside the label are background, padding is nothing, by any rule") {
  Tensor<double> p = check::normal({2, 9, 3}, 5);
  p = add(mul(p, 0.1), 0.4);
  const Tensor<double> y = from_vector<double>({1, 0, 0, 0, 0, 1}).reshape({2, 3}),
                       shares = full<double>({2, 3}, 0.3);
  Tensor<bool> valid = ones<bool>({2, 9});
  valid.select(0, 1).slice(0, 4, 9).fill_(false);
  for (const PseudoLabelRule rule : {PseudoLabelRule::thresholds, PseudoLabelRule::calibrated,
                                     PseudoLabelRule::ranked, PseudoLabelRule::min_max}) {
    const Tensor<std::int32_t> h = pseudo_labels(p, y, valid, {.rule = rule}, shares);
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t t = 0; t < 9; ++t) {
        for (std::int64_t c = 0; c < 3; ++c) {
          if (!valid.at({b, t})) {
            CHECK(h.at({b, t, c}) == -1);
          } else if (y.at({b, c}) == 0) {
            CHECK(h.at({b, t, c}) == 0);
          }
        }
      }
    }
    // Padding and the other videos of a batch change nothing.
    const Tensor<std::int32_t> alone =
        pseudo_labels(p.slice(0, 1, 2).slice(1, 0, 4), y.slice(0, 1, 2), ones<bool>({1, 4}),
                      {.rule = rule}, shares.slice(0, 1, 2));
    CHECK(check::same(alone.select(0, 0).contiguous(), h.select(0, 1).slice(0, 0, 4).contiguous()));
  }
}

TEST_CASE("pseudo_labels: options that cannot be are refused") {
  CHECK(check::message([] {
          (void)labels_of({.5}, {.high = .1, .low = .3});
        }).find("they are 0.3 and 0.1") != std::string::npos);
  CHECK(check::message([] {
          (void)labels_of({.5}, {.ranked_foreground = .6, .ranked_background = .5});
        }).find("they are 0.6 and 0.5") != std::string::npos);
  CHECK(check::message([] {
          (void)labels_of({.5}, {.min_max_high = .1, .min_max_low = .5});
        }).find("those of min_max are 0.5 and 0.1") != std::string::npos);
  CHECK(check::message([] {
          (void)pseudo_labels(zeros<double>({1, 2, 1}), ones<double>({1, 1}), ones<bool>({1, 2}),
                              {.rule = PseudoLabelRule::calibrated});
        }) == "[pseudo_labels] the rule `calibrated` needs shares of shape (1, 1)");
}

TEST_CASE("LabelCensus: shares of frames and videos, agreement, and what runs away") {
  const auto video = [](std::vector<int> labels) {
    VideoTruth truth;
    truth.labels = std::move(labels);
    return truth;
  };
  const auto column = [](const std::vector<float>& values) {
    return from_vector<float>(values).reshape({static_cast<std::int64_t>(values.size()), 1});
  };
  LabelCensus a, b;
  a.add(column({.9F, .05F, .2F, .9F}), video({0}));
  b.add(column({.9F, .9F, .05F, .2F}), video({0}));
  CHECK(a.foreground() == 0.5);
  CHECK(a.all_or_none() == 0);
  CHECK(a.agreement(b) == 0.5);  // the first two are decided by both
  a.add(column({0, 0, 0, 0}), video({0}));
  b.add(column({1, 1, 1, 1}), video({0}));
  CHECK(a.foreground() == 0.25);
  CHECK(a.all_or_none() == 0.5);
  CHECK(b.all_or_none() == 0.5);
  CHECK(a.agreement(b) == doctest::Approx(1.0 / 6));
  CHECK(b.ran_away_since(a.foreground(), a.all_or_none()));
  CHECK(!a.ran_away_since(a.foreground(), a.all_or_none()));
  a.add(column({.9F}), video({}));  // a video without a label is not asked about
  CHECK(a.foreground() == 0.25);
  b.add(column({.9F}), video({0}));
  CHECK(check::message([&] { (void)a.agreement(b); }) ==
        "[label_census] the branches labelled 8 and 9 frames");
}

TEST_CASE("min_max_over_time: each class on its own scale") {
  const Tensor<float> frames = from_vector<float>({1, 5, 3, 5, 2, 5}).reshape({3, 2});
  CHECK(check::same(min_max_over_time(frames),
                    from_vector<float>({0, 0, 1, 0, .5F, 0}).reshape({3, 2})));
  CHECK(min_max_over_time(zeros<float>({0, 2})).numel() == 0);
}

TEST_CASE("fuse: every fusion of two branches, by hand") {
  const auto scores = [](std::vector<float> frames, float video) {
    const auto rows = static_cast<std::int64_t>(frames.size());
    return VideoScores{.frames = from_vector<float>(frames).reshape({rows, 1}),
                       .video = from_vector<float>({video})};
  };
  const BranchScores both{.cbp = scores({.25F, 0, .5F}, 1), .vlp = scores({1, .5F, .5F}, .25F)};
  const struct {
    const char* name;
    std::vector<float> frames;
    float video;
  } expected[] = {{"cbp", {.25F, 0, .5F}, 1},
                  {"vlp", {1, .5F, .5F}, .25F},
                  {"mean", {.625F, .25F, .5F}, .625F},
                  {"weighted", {.8125F, .375F, .5F}, .4375F},
                  {"geometric-mean", {.5F, 0, .5F}, .5F},
                  {"normalized-mean", {.75F, 0, .5F}, .625F}};
  CHECK(fusion_names().size() == std::size(expected));
  for (const auto& e : expected) {
    CAPTURE(e.name);
    const InferenceOptions how{.fusion = fusion_from_name(e.name), .cbp_weight = .25};
    const VideoScores fused = fuse(both, how);
    CHECK(fused.frames.to_vector() == e.frames);
    CHECK(fused.video.item() == e.video);
    CHECK(fusion_name(how.fusion) == e.name);
  }
  CHECK(check::message([] { (void)fusion_from_name("average"); }) ==
        "[inference] no fusion is called 'average': expected one of cbp, vlp, mean, weighted, "
        "geometric-mean, normalized-mean");
}
