#include "tandem/wtal/detect/localization.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace tandem::wtal;

/// Localizes a video of one class.
std::vector<Detection> localize_curve(const std::vector<float>& curve, float video_score,
                                      const LocalizationOptions& options = {}) {
  return localize(curve, curve.size(), 1, std::vector<float>{video_score}, options);
}

}  // namespace

TEST_CASE("localization: golden values of an independent implementation") {
  std::ifstream file(TANDEM_GOLDEN_DIR "/localization.txt");
  REQUIRE(file.good());
  std::string line;
  std::size_t rows = 0, classes = 0, cases = 0, found = 0;
  std::vector<float> scores, video_scores;
  std::vector<Detection> expected;
  LocalizationOptions options;
  while (std::getline(file, line)) {
    std::istringstream in(line);
    std::string key;
    in >> key;
    if (key == "case") {
      std::string name, kind;
      int normalize = 0;
      in >> name >> rows >> classes >> normalize >> kind;
      options = {};
      options.normalize = normalize != 0;
      options.nms.kind = kind == "hard" ? Suppression::hard : Suppression::soft;
      options.thresholds.clear();
      for (double t; in >> t;) options.thresholds.push_back(t);
      scores.clear();
      video_scores.clear();
      expected.clear();
    } else if (key == "video_scores") {
      for (float v; in >> v;) video_scores.push_back(v);
    } else if (key == "row") {
      for (float v; in >> v;) scores.push_back(v);
    } else if (key == "detection") {
      Detection d;
      in >> d.cls >> d.segment.start >> d.segment.end >> d.score;
      expected.push_back(d);
    } else if (key == "end") {
      INFO("case ", cases);
      const std::vector<Detection> got = localize(scores, rows, classes, video_scores, options);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        CHECK(got[i].cls == expected[i].cls);
        CHECK(got[i].segment == expected[i].segment);
        // Means of at most 60 values ≤ 1 in another order, then at most 40 factors exp(−IoU²/σ).
        CHECK(std::fabs(got[i].score - expected[i].score) <=
              200 * std::numeric_limits<double>::epsilon());
      }
      ++cases;
      found += got.size();
    }
  }
  CHECK(cases == 24);
  CHECK(found > 50);
}

TEST_CASE("localization: a box in a video, by hand") {
  //                               0  1  2  3  4  5  6  7  8  9
  const std::vector<float> curve{0, 0, 0, 1, 1, 1, 1, 0, 0, 0};
  const std::vector<Detection> d = localize_curve(curve, 0.9f);
  REQUIRE(d.size() == 1);
  CHECK(d[0].segment.start == 0.64 * 3);
  CHECK(d[0].segment.end == 0.64 * 7);
  CHECK(d[0].cls == 0);
  // Inside 1, margins (rows 2 and 7) 0, plus 0.2 of the video score.
  CHECK(d[0].score == doctest::Approx(1 + 0.2 * 0.9));
}

TEST_CASE("localization: outer-inner contrast with the field's rounding of margins") {
  // Rows 4 … 6 (L = 3, reach 0.75): left margin from ⌊3.25⌋ = 3, right up to ⌊6.75⌋ = 6, so none.
  const std::vector<double> curve{0.1, 0.2, 0.3, 0.4, 1.0, 1.0, 0.7, 0.6, 0.5};
  CHECK(outer_inner_contrast(curve, {4, 6}, 0.25) == doctest::Approx(0.9 - 0.4));
  // Rows 2 … 5 (L = 4, reach 1): rows 1 and 6.
  CHECK(outer_inner_contrast(curve, {2, 5}, 0.25) == doctest::Approx(2.7 / 4 - 0.9 / 2));
  // The whole video has no margin.
  CHECK(outer_inner_contrast(curve, {0, 8}, 0.25) == doctest::Approx(4.8 / 9));
  // At the end of the video only the left margin is there.
  CHECK(outer_inner_contrast(curve, {5, 8}, 0.25) == doctest::Approx(2.8 / 4 - 1.0));
  CHECK(outer_inner_contrast(curve, {4, 6}, 0) == doctest::Approx(0.9));
  CHECK_THROWS_AS(outer_inner_contrast(curve, {5, 9}, 0.25), tandem::Error);
}

TEST_CASE("localization: normalization, thresholds and short runs") {
  const std::vector<float> low{0.10f, 0.12f, 0.20f, 0.19f, 0.11f};
  CHECK(localize_curve(low, 0.9f).size() == 1);  // normalized, its peak is far above 0.45
  CHECK(localize_curve(low, 0.9f, {.normalize = false}).empty());
  // Exactly at the threshold is not above it.
  CHECK(localize_curve({0.5f, 0.25f}, 0.9f, {.normalize = false, .thresholds = {0.5}}).empty());

  const std::vector<float> hill{0, 0.3f, 0.6f, 1, 0.6f, 0.3f, 0, 0, 0.5f, 0};
  const LocalizationOptions several{.thresholds = {0.2, 0.5, 0.8},
                                    .nms = {.kind = Suppression::none}};
  CHECK(localize_curve(hill, 0.9f, several).size() == 4);
  LocalizationOptions longer = several;
  longer.min_rows = 2;
  CHECK(localize_curve(hill, 0.9f, longer).size() == 2);
}

TEST_CASE("localization: which classes are kept") {
  const std::vector<float> y{0.2f, 0.86f, 0.85f, 0.99f};
  CHECK(selected_classes(y) == std::vector<std::size_t>{1, 3});
  CHECK(selected_classes(std::vector<float>{0.2f, 0.5f, 0.5f}) == std::vector<std::size_t>{1});
  CHECK(selected_classes(std::vector<float>{0.2f, 0.5f}, {.keep_best_class = false}).empty());
  CHECK(selected_classes({}).empty());

  // Two classes in one row-major array.
  const std::vector<float> scores{1, 0, 1, 0, 0, 1, 0, 1, 0, 0};
  const auto d = localize(scores, 5, 2, std::vector<float>{0.9f, 0.95f});
  REQUIRE(d.size() == 2);
  CHECK(d[0].cls == 1);
  CHECK(d[0].segment == Segment{0.64 * 2, 0.64 * 4});
  CHECK(d[1].cls == 0);
  CHECK(d[1].segment == Segment{0, 0.64 * 2});
}

TEST_CASE("localization: empty videos, one row, constant curves, bad input") {
  CHECK(localize({}, 0, 3, std::vector<float>{0.9f, 0.9f, 0.9f}).empty());
  CHECK(localize({}, 0, 0, {}).empty());
  const auto one = localize_curve({0.9f}, 0.9f);
  REQUIRE(one.size() == 1);
  CHECK(one[0].segment == Segment{0, 0.64});
  CHECK(one[0].score == doctest::Approx(0.9 + 0.18));
  CHECK(localize_curve({0.3f}, 0.9f).empty());
  CHECK(localize_curve({0.9f, 0.9f, 0.9f}, 0.9f).size() == 1);
  CHECK(localize_curve({0.2f, 0.2f, 0.2f}, 0.9f).empty());

  CHECK_THROWS_WITH_AS(localize(std::vector<float>{0, 0, 0, NAN}, 2, 2, std::vector<float>{1, 1}),
                       "[localize] the frame score of row 1, class 1 is not finite", tandem::Error);
  CHECK_THROWS_WITH_AS(localize_curve({0.1f}, NAN),
                       "[localize] the video score of class 0 is not finite", tandem::Error);
  CHECK_THROWS_AS(localize(std::vector<float>{0, 0, 0}, 2, 2, std::vector<float>{1, 1}),
                  tandem::Error);
  CHECK_THROWS_AS(localize(std::vector<float>{0, 0}, 2, 1, std::vector<float>{1, 1}),
                  tandem::Error);
  CHECK_THROWS_AS(localize_curve({0.1f}, 1, {.thresholds = {}}), tandem::Error);
}

TEST_CASE("localization: runs and normalization") {
  const std::vector<double> curve{0, 1, 1, 0, 1};
  CHECK(runs_above(curve, 0.5) == std::vector<RowRun>{{1, 2}, {4, 4}});
  CHECK(runs_above(curve, 1).empty());
  CHECK(runs_above(curve, -1) == std::vector<RowRun>{{0, 4}});
  CHECK(runs_above({}, 0).empty());
  std::vector<double> x{3, 1, 2};
  min_max_normalize(x);
  CHECK(x == std::vector<double>{1, 0, 0.5});
}
