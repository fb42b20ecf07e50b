#include "tandem/wtal/detect/false_positives.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace tandem;
using namespace tandem::wtal;

namespace {

using K = DetectionKind;

/// Two classes; video a has an instance of each, b one of the second, c none.
GroundTruth two_classes() {
  GroundTruth truth;
  truth.classes = {"Dive", "Jump", "Row"};
  truth.videos = {{.id = "a", .instances = {{{0, 10}, 0}, {{20, 30}, 1}}},
                  {.id = "b", .instances = {{{5, 15}, 1}}},
                  {.id = "c"}};
  return truth;
}

FalsePositives kinds_of(const std::vector<Detection>& a, const std::vector<Detection>& c = {},
                        FalsePositiveOptions options = {}) {
  DetectionSet set;
  set.classes = {"Jump", "Dive", "Unknown", "Row"};  // another order than the truth's
  set.videos = {{.id = "a", .detections = a}, {.id = "c", .detections = c}};
  return find_false_positives(two_classes(), set, {.protocol = Protocol::thumos_seconds}, options);
}

std::size_t count(const FalsePositives& f, K kind) {
  return f.counts[static_cast<std::size_t>(kind)];
}

}  // namespace

TEST_CASE("false_positives: one detection of each kind") {
  const FalsePositives f = kinds_of(
      {
          {{0, 10}, 1, 0.9},   // Dive where it is
          {{0, 9}, 1, 0.8},    // the same instance again
          {{20, 30}, 1, 0.7},  // Dive where Jump is
          {{0, 4}, 1, 0.6},    // 4 of 10
          {{26, 34}, 1, 0.5},  // 4 of 14 of a Jump
          {{12, 18}, 1, 0.4},  // between them
          {{9.5, 40}, 1, 0.3}  // touches both, the Jump more: 10 of 30.5
      },
      {{{0, 10}, 1, 0.2}});  // no action in this video
  CHECK(f.kinds[0] == std::vector<K>{K::true_positive, K::double_detection, K::wrong_label,
                                     K::localization, K::confusion, K::background, K::confusion});
  CHECK(f.kinds[1] == std::vector<K>{K::background});
  CHECK(f.counts == FalsePositives::Counts{1, 1, 1, 1, 2, 2});
}

TEST_CASE("false_positives: the boundaries belong to the upper kind") {
  // tIoU of exactly α and of exactly β: 5 of 10, 1 of 10; and a little less
  const FalsePositives f = kinds_of({{{0, 10}, 1, 0.9},
                                     {{0, 5}, 1, 0.8},
                                     {{0, 4.9}, 1, 0.7},
                                     {{0, 1}, 1, 0.6},
                                     {{0, 0.9}, 1, 0.5}});
  CHECK(f.kinds[0] == std::vector<K>{K::true_positive, K::double_detection, K::localization,
                                     K::localization, K::background});
  // of equal overlaps the own class counts: 5 s of either instance of a
  const FalsePositives both = kinds_of({{{5, 25}, 0, 0.9}}, {}, {.background = 0.2});
  CHECK(both.kinds[0] == std::vector<K>{K::localization});
  // without any overlap it is background, also with β = 0
  CHECK(kinds_of({{{12, 18}, 0, 0.9}}, {}, {.background = 0}).kinds[0][0] == K::background);
  CHECK(kinds_of({{{4, 4}, 1, 0.9}}, {}, {.background = 0}).kinds[0][0] == K::background);
}

TEST_CASE("false_positives: what evaluate() does not count is left out") {
  const FalsePositives f = kinds_of({{{0, 10}, 2, 0.9}, {{0, 10}, 3, 0.9}, {{0, 10}, 1, 0.1}});
  CHECK(f.kinds[0] == std::vector<K>{K::left_out, K::left_out, K::true_positive});
  CHECK(f.counts == FalsePositives::Counts{1, 0, 0, 0, 0, 0});
  CHECK(kind_name(K::left_out) == "left out");
  CHECK(kind_name(K::background) == "background");
}

TEST_CASE("false_positives: groups of as many as there are instances, each class by itself") {
  // Jump has 2 instances, Dive 1: Jump's first three detections are two of the first group
  const FalsePositives f = kinds_of({{{20, 30}, 0, 0.9},
                                     {{20, 29}, 0, 0.8},
                                     {{12, 13}, 0, 0.7},
                                     {{0, 10}, 1, 0.2},
                                     {{12, 13}, 1, 0.1}},
                                    {}, {.groups = 2});
  REQUIRE(f.by_rank.size() == 2);
  CHECK(f.by_rank[0] == FalsePositives::Counts{2, 1, 0, 0, 0, 0});
  CHECK(f.by_rank[1] == FalsePositives::Counts{0, 0, 0, 0, 0, 2});
  CHECK(count(f, K::background) == 2);
}

TEST_CASE("false_positives: mAP is evaluate()'s, impact that of a set without the kind") {
  const std::vector<Detection> a{{{12, 18}, 1, 0.9},   // Dive, background
                                 {{0, 10}, 1, 0.8},    // Dive, true: AP 1/2, without it 1
                                 {{0, 9}, 1, 0.7},     // double, behind the last true one
                                 {{21, 24}, 0, 0.9},   // Jump, localization
                                 {{20, 30}, 0, 0.8}};  // Jump, true: AP 1/2·1/2, without it 1/2
  const FalsePositives f = kinds_of(a);
  CHECK(f.map == doctest::Approx((0.5 + 0.25) / 2));
  const auto impact = [&](K kind) { return f.impact[static_cast<std::size_t>(kind)]; };
  CHECK(impact(K::background) == doctest::Approx(0.25));
  CHECK(impact(K::localization) == doctest::Approx(0.125));
  CHECK(impact(K::double_detection) == doctest::Approx(0));
  CHECK(impact(K::true_positive) == 0);
  DetectionSet set{.classes = {"Jump", "Dive"}, .videos = {{.id = "a", .detections = a}}};
  const Evaluation e =
      evaluate(two_classes(), set, {.protocol = Protocol::thumos_seconds, .thresholds = {0.5}});
  CHECK(f.map == e.map[0]);
}

TEST_CASE("false_positives: in the units of the protocol") {
  // In rows of 1 s the instance [5, 15) of b is hit by half; in seconds it is not.
  DetectionSet set{.classes = {"Jump"}, .videos = {{.id = "b", .detections = {{{5, 9.6}, 0, 1}}}}};
  GroundTruth truth = two_classes();
  truth.videos[1].instances[0].segment = {5.4, 14.4};  // rounds to [5, 14)
  const auto kind = [&](Protocol protocol) {
    return find_false_positives(truth, set, {.protocol = protocol, .seconds_per_row = 1})
        .kinds[0][0];
  };
  CHECK(kind(Protocol::thumos_index) == K::true_positive);   // 4.6 of 9
  CHECK(kind(Protocol::thumos_seconds) == K::localization);  // 4.2 of 9.4
  truth.videos[1].ambiguous = {{9, 12}};
  CHECK(kind(Protocol::thumos_index) == K::true_positive);
  truth.videos[1].ambiguous = {{8, 12}};
  CHECK(kind(Protocol::thumos_index) == K::left_out);
}

TEST_CASE("false_positives: errors") {
  CHECK_THROWS_WITH_AS(
      kinds_of({}, {}, {.tiou = 0.05}),
      "[false_positives] expected 0 <= background <= tiou in (0, 1], got 0.1 and 0.05", Error);
  CHECK_THROWS_AS(kinds_of({{{0, 1}, 9, 0.5}}), Error);
}
