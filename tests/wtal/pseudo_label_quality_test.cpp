#include "tandem/wtal/detect/pseudo_label_quality.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

using namespace tandem::wtal;

VideoTruth video_with(std::vector<Instance> instances, std::vector<int> labels) {
  return {.id = "v", .instances = std::move(instances), .labels = std::move(labels)};
}

}  // namespace

TEST_CASE("pseudo_label_quality: a row is foreground when its centre is inside") {
  using Rows = std::vector<std::uint8_t>;
  const VideoTruth video = video_with({{{0.32, 0.96}, 0}, {{1.0, 2.0}, 1}}, {0, 1});
  // Centres 0.32, 0.96, 1.6, 2.24: the start is inside, the end is not.
  CHECK(foreground_rows(video, 0, 4) == Rows{1, 0, 0, 0});
  CHECK(foreground_rows(video, 1, 4) == Rows{0, 0, 1, 0});
  CHECK(foreground_rows(video, 2, 4) == Rows{0, 0, 0, 0});
  CHECK(foreground_rows(video, 0, 0).empty());
  // Past the ends, reversed, and not a number.
  CHECK(foreground_rows(video_with({{{-5, 1e300}, 0}}, {}), 0, 2) == Rows{1, 1});
  CHECK(foreground_rows(video_with({{{2, 1}, 0}, {{NAN, NAN}, 0}}, {}), 0, 3) == Rows{0, 0, 0});
}

TEST_CASE("pseudo_label_quality: both readings of undecided frames, by hand") {
  // Ten rows of one second; action in rows 2 … 5.
  const VideoTruth video = video_with({{{2, 6}, 0}}, {0});
  //                                 0   1  2  3   4  5  6  7   8  9
  const std::vector<std::int8_t> h{0, 0, 0, 1, 1, -1, 1, -1, 0, 0};
  PseudoLabelQuality miss(Undecided::miss, 1.0);
  miss.add(h, 10, 1, video);
  // Foreground: H=1 at {3,4,6}, action {2,3,4,5}: 2 of 5. Background: H=0 at {0,1,2,8,9}, no action
  // {0,1,6,7,8,9}: 4 of 7.
  CHECK(miss.foreground() == doctest::Approx(2.0 / 5));
  CHECK(miss.background() == doctest::Approx(4.0 / 7));
  CHECK(miss.decided() == doctest::Approx(0.8));
  PseudoLabelQuality skip(Undecided::skip, 1.0);
  skip.add(h, 10, 1, video);
  // Without rows 5 and 7: {3,4,6} against {2,3,4}; {0,1,2,8,9} against {0,1,6,8,9}.
  CHECK(skip.foreground() == doctest::Approx(2.0 / 4));
  CHECK(skip.background() == doctest::Approx(4.0 / 6));
}

TEST_CASE("pseudo_label_quality: means over pairs, pooled sums, which pairs count") {
  const VideoTruth first = video_with({{{0, 2}, 0}}, {0, 1});  // class 1: a label without instance
  const VideoTruth second = video_with({{{0, 1}, 1}}, {1});
  const std::vector<float> h1{1, 1, 1, 1, 0, 1, 0, 1};  // 4 rows × 2 classes
  const std::vector<float> h2{0, 1, 0, 1};              // 2 rows × 2 classes
  PseudoLabelQuality quality(Undecided::miss, 1.0);
  quality.add(h1, 4, 2, first);
  quality.add(h2, 2, 2, second);
  CHECK(quality.pairs() == 2);
  CHECK(quality.foreground() == doctest::Approx((1.0 + 0.5) / 2));
  CHECK(quality.foreground_pooled() == doctest::Approx(3.0 / 4));
  CHECK(quality.background() == doctest::Approx((1.0 + 0.0) / 2));
  CHECK(quality.background_pooled() == doctest::Approx(2.0 / 3));
  CHECK(quality.decided() == 1.0);

  // Everything is action and called so: the background has no union and no part in its mean.
  PseudoLabelQuality full(Undecided::miss, 1.0);
  full.add(std::vector<int>{1, 1}, 2, 1, video_with({{{0, 2}, 0}}, {0}));
  CHECK(full.foreground() == 1.0);
  CHECK(std::isnan(full.background()));
}

TEST_CASE("pseudo_label_quality: the readings' directions") {
  // Incomplete labels: low foreground, high background. Over-complete ones: the other way round.
  const VideoTruth video = video_with({{{10, 20}, 0}}, {0});
  std::vector<int> incomplete(40, 0), overcomplete(40, 0);
  for (std::size_t t = 14; t < 16; ++t) incomplete[t] = 1;
  for (std::size_t t = 2; t < 36; ++t) overcomplete[t] = 1;
  PseudoLabelQuality a(Undecided::miss, 1.0), b(Undecided::miss, 1.0);
  a.add(incomplete, 40, 1, video);
  b.add(overcomplete, 40, 1, video);
  CHECK(a.foreground() < b.foreground());
  CHECK(a.background() > b.background());
}

TEST_CASE("pseudo_label_quality: bad input") {
  PseudoLabelQuality quality;
  const VideoTruth video = video_with({{{0, 2}, 0}}, {0});
  CHECK_THROWS_AS(quality.add(std::vector<int>{1, 0, 1}, 2, 2, video), tandem::Error);
  CHECK_THROWS_AS(quality.add(std::vector<int>{1, 7}, 2, 1, video), tandem::Error);
  CHECK_THROWS_AS(quality.add(std::vector<float>{NAN}, 1, 1, video), tandem::Error);
  CHECK_THROWS_AS(quality.add(std::vector<int>{1, 0}, 2, 1, video_with({{{0, 1}, 3}}, {3})),
                  tandem::Error);
  CHECK_THROWS_AS(PseudoLabelQuality(Undecided::miss, 0.0), tandem::Error);
}
