/// The simulated data set: what its rows show where, and that its sizes are those it claims.

#include "tandem/wtal/data/simulate.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../ops/check.hpp"

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// Orthogonal class texts of length 1 around a common part, as texts of one encoder have it.
Tensor<float> texts(std::int64_t classes, std::int64_t width) {
  Tensor<float> out = zeros<float>({classes, width});
  for (std::int64_t c = 0; c < classes; ++c) {
    out.set({c, 0}, 2.0F);
    out.set({c, 1 + c}, 1.0F);
  }
  return out;
}
double norm(const Tensor<float>& rows, std::int64_t t) {
  double square = 0;
  for (std::int64_t d = 0; d < rows.size(1); ++d)
    square += std::pow(static_cast<double>(rows.at({t, d})), 2);
  return std::sqrt(square);
}
/// One video of 20 rows of a second, class 1 in rows 6 … 13.
GroundTruth one_video() {
  GroundTruth truth;
  truth.classes = {"a", "b", "c"};
  VideoTruth video;
  video.id = "v";
  video.subset = "train";
  video.duration = 20;
  video.labels = {1};
  video.instances = {{{6, 14}, 1}};
  truth.videos.push_back(video);
  return truth;
}

}  // namespace

TEST_CASE(
    "Simulator: I3D rows show the core in full and the edges weakly, CLIP rows the action and its "
    "surroundings") {
  SimulationOptions o;
  o.i3d_width = 32;
  o.clip_width = 8;
  o.core = 0.5;
  o.edge = 0.25;
  o.spill = 2;
  o.scene = o.i3d_noise = o.clip_noise = 0;
  o.i3d_scale = 3;
  o.clip_scale = 5;
  o.seconds_per_row = 1;
  const SimulatedRows rows = Simulator(o, texts(3, 8)).draw(one_video(), 0);
  REQUIRE(rows.i3d.shape() == Shape{20, 32});
  REQUIRE(rows.clip.shape() == Shape{20, 8});
  for (std::int64_t t = 0; t < 20; ++t) {
    INFO("row " << t);
    const bool action = t >= 6 && t < 14, core = t >= 8 && t < 12, near = t >= 4 && t < 16;
    CHECK(norm(rows.i3d, t) == doctest::Approx(core ? 3 : action ? 0.75 : 0).epsilon(1e-5));
    CHECK(norm(rows.clip, t) == doctest::Approx(near ? 5 : 0).epsilon(1e-5));
  }
  // CLIP rows point along what sets the class's text apart: towards it, away from the others.
  const float own = rows.clip.at({8, 2}), other = rows.clip.at({8, 1}),
              common = rows.clip.at({8, 0});
  CHECK(own == doctest::Approx(5 * std::sqrt(2.0 / 3)).epsilon(1e-5));
  CHECK(other == doctest::Approx(-own / 2).epsilon(1e-5));
  CHECK(common == doctest::Approx(0).epsilon(1e-5));
}

TEST_CASE(
    "Simulator: a video's scene is one direction, the same in every row, different between "
    "videos") {
  SimulationOptions o;
  o.i3d_width = 64;
  o.clip_width = 8;
  o.action = o.i3d_noise = 0;
  o.scene = 0.5;
  o.i3d_scale = 4;
  o.seconds_per_row = 1;
  GroundTruth truth = one_video();
  truth.videos.push_back(truth.videos[0]);
  const Simulator simulator(o, texts(3, 8));
  const Tensor<float> a = simulator.draw(truth, 0).i3d, b = simulator.draw(truth, 1).i3d;
  double cosine = 0;
  for (std::int64_t d = 0; d < 64; ++d) {
    CHECK(a.at({0, d}) == a.at({19, d}));
    cosine += static_cast<double>(a.at({0, d}) * b.at({0, d})) / 4;
  }
  CHECK(norm(a, 7) == doctest::Approx(2).epsilon(1e-5));
  // Random directions of 64 dimensions: the cosine has a standard deviation of 1/8; 5 of them.
  CHECK(std::fabs(cosine) < 0.625);
}

TEST_CASE(
    "simulate_annotations: the shares and lengths that docs/simulation.md takes from THUMOS14") {
  SimulationOptions o;
  o.train_videos = 400;
  o.test_videos = 0;
  const GroundTruth truth = simulate_annotations(o);
  REQUIRE(truth.videos.size() == 400);
  double two = 0, share = 0, pairs = 0;
  std::vector<double> lengths;
  for (const VideoTruth& video : truth.videos) {
    two += video.labels.size() == 2;
    for (int label : video.labels) {
      double covered = 0;
      for (const Instance& i : video.instances) {
        if (i.cls != label) continue;
        covered += i.segment.length();
        lengths.push_back(i.segment.length() / o.seconds_per_row);
        CHECK(i.segment.start >= 0);
        CHECK(i.segment.end <= video.duration);
      }
      CHECK(covered > 0);
      share += covered / video.duration;
      pairs += 1;
    }
  }
  // 400 draws: 0.135·19/20 (a second class equal to the first is none) ± 5·0.017.
  CHECK(two / 400 > 0.04);
  CHECK(two / 400 < 0.22);
  // Where a place is taken the instance is given up, so the share stays below 4·9.6/80 = 0.48.
  CHECK(share / pairs > 0.2);
  CHECK(share / pairs < 0.4);
  std::nth_element(lengths.begin(),
                   lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2),
                   lengths.end());
  const double median = lengths[lengths.size() / 2];
  CHECK(median > 6);  // below 8: longer ones find a free place less often
  CHECK(median < 8.5);
}

TEST_CASE("ConcatSource: CLIP rows beside the I3D rows, or the source as it is") {
  SimulationOptions o;
  o.classes = 3;
  o.train_videos = 2;
  o.test_videos = 0;
  o.rows_low = o.rows_high = 10;
  o.i3d_width = 6;
  o.clip_width = 8;
  const GroundTruth truth = simulate_annotations(o);
  const SimulatedSource source(truth, "train", Simulator(o, texts(3, 8)));
  const ConcatSource wide(source, true), same(source, false);
  REQUIRE(wide.i3d(1).shape() == Shape{10, 14});
  CHECK(wide.size() == 2);
  CHECK(check::distance(wide.i3d(1).slice(1, 0, 6), source.i3d(1)) == 0);
  CHECK(check::distance(wide.i3d(1).slice(1, 6, 14), source.clip(1)) == 0);
  CHECK(check::distance(wide.clip(1), source.clip(1)) == 0);
  CHECK(same.i3d(0).shape() == Shape{10, 6});
}
