#include "tandem/wtal/detect/evaluation.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <sstream>
#include <string>

namespace {

using namespace tandem::wtal;

/// Ground truth and detections written as a table: video, class, start, end (, score).
struct Problem {
  GroundTruth truth;
  DetectionSet detected;

  VideoTruth& video(const std::string& id) {
    for (VideoTruth& v : truth.videos) {
      if (v.id == id) return v;
    }
    truth.videos.push_back({.id = id, .subset = "test"});
    return truth.videos.back();
  }
  Problem& instance(const std::string& id, const std::string& cls, double start, double end) {
    video(id).instances.push_back({{start, end}, truth.add_class(cls)});
    return *this;
  }
  Problem& detection(const std::string& id, const std::string& cls, double start, double end,
                     double score) {
    int c = -1;
    for (std::size_t i = 0; i < detected.classes.size(); ++i) {
      if (detected.classes[i] == cls) c = static_cast<int>(i);
    }
    if (c < 0) {
      c = static_cast<int>(detected.classes.size());
      detected.classes.push_back(cls);
    }
    if (detected.videos.empty() || detected.videos.back().id != id) {
      detected.videos.push_back({id, {}});
    }
    detected.videos.back().detections.push_back({{start, end}, c, score});
    return *this;
  }
  Evaluation run(Protocol protocol = Protocol::activitynet, std::vector<double> thresholds = {}) {
    return evaluate(truth, detected, {.protocol = protocol, .thresholds = std::move(thresholds)});
  }
};

std::string message_of(auto&& call) {
  try {
    call();
  } catch (const tandem::Error& error) {
    return error.what();
  }
  return "no error";
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("evaluation: golden values of an independent implementation") {
  std::ifstream file(TANDEM_GOLDEN_DIR "/evaluation.txt");
  REQUIRE(file.good());
  std::string line;
  Problem problem;
  Evaluation result;
  Protocol protocol{};
  std::string name;
  int cases = 0;
  int values = 0;
  bool evaluated = false;
  // Sums of at most 100 terms ≤ 1, each a quotient of small integers, in another order.
  const double tolerance = 100 * std::numeric_limits<double>::epsilon();
  auto position = [&](double tiou) {
    for (std::size_t t = 0; t < result.thresholds.size(); ++t) {
      if (result.thresholds[t] == tiou) return t;
    }
    FAIL("no threshold " << tiou);
    return std::size_t{0};
  };
  while (std::getline(file, line)) {
    std::istringstream in(line);
    std::string key, video, cls;
    in >> key;
    if (key == "case") {
      std::string which;
      in >> name >> which;
      protocol = protocol_from_name(which);
      problem = {};
      evaluated = false;
    } else if (key == "class") {
      in >> cls;
      problem.truth.add_class(cls);
    } else if (key == "video") {
      in >> video;
      problem.video(video);
    } else if (key == "instance") {
      double start, end;
      in >> video >> cls >> start >> end;
      problem.instance(video, cls, start, end);
    } else if (key == "ambiguous") {
      double start, end;
      in >> video >> start >> end;
      problem.video(video).ambiguous.push_back({start, end});
    } else if (key == "detection") {
      double start, end, score;
      in >> video >> cls >> start >> end >> score;
      problem.detection(video, cls, start, end, score);
    } else if (key == "ap" || key == "map") {
      if (!evaluated) result = problem.run(protocol);
      evaluated = true;
      double tiou, expected;
      in >> tiou;
      const std::size_t t = position(tiou);
      INFO(name, " ", line);
      if (key == "ap") {
        in >> cls >> expected;
        const auto c = std::find(result.classes.begin(), result.classes.end(), cls);
        REQUIRE(c != result.classes.end());
        const auto index = static_cast<std::size_t>(c - result.classes.begin());
        CHECK(std::fabs(result.ap[t][index] - expected) <= tolerance);
      } else {
        in >> expected;
        CHECK(std::fabs(result.map[t] - expected) <= tolerance);
      }
      ++values;
    } else if (key == "end") {
      ++cases;
    }
    REQUIRE_MESSAGE(!in.fail(), line);
  }
  CHECK(cases == 40);
  CHECK(values > 1000);
}

TEST_CASE("evaluation: interpolated average precision by hand") {
  // Ranks: hit, miss, hit of 2 positives: R jumps at precision 1 and at max(2/3).
  CHECK(interpolated_average_precision({1, 0, 1}, 2) == doctest::Approx(0.5 + 0.5 * 2 / 3));
  // A later, higher precision lifts the earlier one: miss, hit, hit → 2/3 at both jumps.
  CHECK(interpolated_average_precision({0, 1, 1}, 2) == doctest::Approx(2.0 / 3));
  CHECK(interpolated_average_precision({}, 3) == 0);
  CHECK(interpolated_average_precision({0, 0}, 3) == 0);
  CHECK(interpolated_average_precision({1}, 4) == 0.25);
  CHECK_THROWS_AS(interpolated_average_precision({1}, 0), tandem::Error);
}

TEST_CASE("evaluation: perfect detections give 1, and any order of distinct scores the same") {
  std::mt19937 rng(7);
  Problem problem;
  for (int v = 0; v < 5; ++v) {
    for (int i = 0; i < 6; ++i) {
      const double start = 10.0 * i + static_cast<double>(rng() % 30) / 10;
      problem.instance("v" + std::to_string(v), "c" + std::to_string(i % 3), start, start + 4);
    }
  }
  for (const VideoTruth& video : problem.truth.videos) {
    for (const Instance& instance : video.instances) {
      problem.detection(video.id, problem.truth.classes[static_cast<std::size_t>(instance.cls)],
                        instance.segment.start, instance.segment.end,
                        static_cast<double>(rng()) / 4294967296.0);
    }
  }
  for (Protocol protocol : {Protocol::activitynet, Protocol::thumos_seconds}) {
    const Evaluation e = problem.run(protocol);
    for (double map : e.map) CHECK(map == 1.0);
    for (const AverageMap& average : e.averages) CHECK(average.value == doctest::Approx(1.0));
  }

  // Noise, then shuffle videos and detections: scores are distinct, so nothing may change.
  for (VideoDetections& video : problem.detected.videos) {
    for (Detection& d : video.detections) d.segment.start += static_cast<double>(rng() % 40) / 10;
  }
  const Evaluation before = problem.run();
  CHECK(before.averages[0].value > 0);
  CHECK(before.averages[0].value < 1);
  std::shuffle(problem.detected.videos.begin(), problem.detected.videos.end(), rng);
  for (VideoDetections& video : problem.detected.videos) {
    std::shuffle(video.detections.begin(), video.detections.end(), rng);
  }
  CHECK(problem.run().ap == before.ap);
}

TEST_CASE(
    "evaluation: an instance is matched once, the next best is tried, the last of equals comes "
    "first") {
  Problem problem;
  problem.instance("v", "a", 0, 10).instance("v", "a", 8, 18);
  // Both overlap the first instance most; the second falls back to the other one (IoU 10/15 each).
  problem.detection("v", "a", 0, 10, 0.9).detection("v", "a", 3, 13, 0.8);
  CHECK(problem.run(Protocol::activitynet, {0.3}).map[0] == 1.0);
  CHECK(problem.run(Protocol::activitynet, {0.5}).map[0] == 0.5);  // 5/15 with the other is too low

  Problem ties;  // equal scores: the last in the file ranks first
  ties.instance("v", "a", 0, 10);
  ties.detection("v", "a", 0, 10, 0.5)
      .detection("v", "a", 50, 60, 0.5)
      .detection("v", "a", 70, 80, 0.4);
  Evaluation e = ties.run();
  CHECK(e.map[0] == 0.5);
  CHECK(e.map_ties_first[0] == 1.0);
  CHECK(e.ties_decide());
  CHECK(e.tied_scores == 2);
  CHECK(e.tied_overlaps == 0);
  std::swap(ties.detected.videos[0].detections[0], ties.detected.videos[0].detections[1]);
  CHECK(ties.run().map[0] == 1.0);

  Problem harmless;  // two equals, both hits
  harmless.instance("v", "a", 0, 10).instance("v", "a", 20, 30);
  harmless.detection("v", "a", 0, 10, 0.5).detection("v", "a", 20, 30, 0.5);
  e = harmless.run();
  CHECK(e.tied_scores == 2);
  CHECK_FALSE(e.ties_decide());

  // Equal scores in two videos: file order goes over all of them.
  Problem videos;
  videos.instance("v", "a", 0, 10);
  videos.detection("v", "a", 0, 10, 0.5).detection("w", "a", 0, 10, 0.5);
  CHECK(videos.run().map[0] == 0.5);

  // Equal overlaps: the detection takes the last instance, and leaves nothing to the second one.
  Problem overlaps;
  overlaps.instance("v", "a", 0, 2).instance("v", "a", 2, 4);
  overlaps.detection("v", "a", 0, 4, 0.9).detection("v", "a", 2, 4, 0.8);
  e = overlaps.run(Protocol::activitynet, {0.5});
  CHECK(e.map[0] == 0.5);
  CHECK(e.map_ties_first[0] == 1.0);
  CHECK(e.tied_scores == 0);
  CHECK(e.tied_overlaps == 1);
}

TEST_CASE("evaluation: what has no length matches nothing and is counted, in every protocol") {
  Problem points;
  points.instance("v", "a", 5, 5).instance("v", "a", 10, 20);
  points.detection("v", "a", 5, 5, 0.9)
      .detection("v", "a", 10, 20, 0.8)
      .detection("v", "a", 9, 3, 0.1);
  for (Protocol protocol :
       {Protocol::activitynet, Protocol::thumos_seconds, Protocol::thumos_index}) {
    const Evaluation e = points.run(protocol);
    CHECK(e.empty_instances == 1);
    CHECK(e.empty_detections == 2);
    CHECK(e.map[0] == 0.25);  // miss, hit, miss of 2
  }
}

TEST_CASE("evaluation: IoU of exactly t is a match at every protocol threshold") {
  // 3 of 10 rows, 6 of 10, 7 of 10: linspace(0.1, 0.9, 9) would miss the first and the last.
  for (int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9}) {
    Problem problem;
    problem.instance("v", "a", 6.4, 12.8);  // rows 10 … 20
    problem.detection("v", "a", 0.64 * 10, 0.64 * (10 + rows), 0.5);
    const Evaluation e = problem.run(Protocol::thumos_index);
    for (std::size_t t = 0; t < 9; ++t) {
      CAPTURE(rows);
      CAPTURE(e.thresholds[t]);
      CHECK(e.map[t] == (static_cast<int>(t) + 1 <= rows ? 1.0 : 0.0));
    }
  }
}

TEST_CASE("evaluation: index units round half to even and keep empty instances as positives") {
  CHECK(tandem::wtal::detail::round_half_even(0.5) == 0);
  CHECK(tandem::wtal::detail::round_half_even(1.5) == 2);
  CHECK(tandem::wtal::detail::round_half_even(2.5) == 2);
  CHECK(tandem::wtal::detail::round_half_even(2.51) == 3);
  CHECK(tandem::wtal::detail::round_half_even(-0.5) == 0);
  CHECK(tandem::wtal::detail::round_half_even(-1.5) == -2);

  Problem problem;
  problem.instance("v", "a", 0.32, 1.6);   // rows 0.5 → 0 and 2.5 → 2
  problem.instance("v", "a", 10.0, 10.2);  // rows 15.6 → 16 and 15.9 → 16: empty
  problem.detection("v", "a", 0, 1.28, 0.9);
  problem.detection("v", "a", 10.0, 10.2, 0.8);
  const Evaluation e = problem.run(Protocol::thumos_index);
  CHECK(e.empty_instances == 1);
  CHECK(e.instances[0] == 2);
  for (double map : e.map) CHECK(map == 0.5);
}

TEST_CASE("evaluation: ambiguous stretches remove what they touch, in index units only") {
  Problem problem;
  problem.instance("v", "a", 0, 6.4).instance("w", "a", 0, 6.4);
  problem.video("v").ambiguous = {{12.8, 19.2}};  // rows 20 … 30
  problem.detection("v", "a", 6.4, 13.44, 0.9);   // rows 10 … 21: touches
  problem.detection("v", "a", 6.4, 12.8, 0.8);    // ends where it starts: does not
  problem.detection("v", "a", 0, 6.4, 0.7);
  problem.detection("w", "a", 12.8, 19.2, 0.6);  // another video
  const Evaluation index = problem.run(Protocol::thumos_index);
  CHECK(index.ambiguous_removed == 1);
  CHECK(index.detections[0] == 3);
  CHECK(index.map[0] == doctest::Approx(0.25));  // miss, hit, miss of 2
  const Evaluation seconds = problem.run(Protocol::thumos_seconds);
  CHECK(seconds.ambiguous_removed == 0);
  CHECK(seconds.map[0] == doctest::Approx(1.0 / 6));  // miss, miss, hit, miss of 2
}

TEST_CASE("evaluation: classes and videos are matched by name and reported") {
  Problem problem;
  problem.instance("v", "a", 0, 10).instance("w", "b", 0, 10);
  problem.video("nothing");
  problem.truth.add_class("never");
  problem.detection("v", "b", 0, 10, 0.9).detection("v", "a", 0, 10, 0.8);
  problem.detection("v", "never", 0, 10, 0.8).detection("v", "other", 0, 10, 0.8);
  problem.detection("nothing", "a", 0, 10, 0.95).detection("strange", "a", 0, 10, 0.99);
  const Evaluation e = problem.run();
  CHECK(e.classes == std::vector<std::string>{"a", "b"});
  CHECK(e.unknown_class == 2);
  CHECK(e.unknown_classes == std::vector<std::string>{"never", "other"});
  CHECK(e.unknown_videos == std::vector<std::string>{"strange"});
  CHECK(e.instanceless_videos == std::vector<std::string>{"nothing"});
  CHECK(e.undetected_videos == std::vector<std::string>{"w"});
  // a: two false positives rank before the hit. b: only a false positive.
  CHECK(e.ap[0] == std::vector<double>{1.0 / 3, 0.0});
  const Evaluation dropped =
      evaluate(problem.truth, problem.detected, {.ignore_videos_without_instances = true});
  CHECK(dropped.ap[0] == std::vector<double>{1.0, 0.0});
}

TEST_CASE("evaluation: subset, thresholds and averages") {
  Problem problem;
  problem.instance("v", "a", 0, 10).instance("w", "a", 0, 10);
  problem.video("w").subset = "training";
  problem.detection("v", "a", 0, 8, 0.9);
  const Evaluation all = problem.run();
  CHECK(all.map[0] == 0.5);
  const Evaluation test = evaluate(problem.truth, problem.detected, {.subset = "test"});
  CHECK(test.map[0] == 1.0);  // IoU 0.8: 7 of the 10 thresholds
  CHECK(test.average("0.5:0.95") == doctest::Approx(0.7));
  const Evaluation thumos = evaluate(problem.truth, problem.detected,
                                     {.protocol = Protocol::thumos_seconds, .subset = "test"});
  CHECK(thumos.average("0.1:0.5") == doctest::Approx(1.0));
  CHECK(thumos.average("0.3:0.7") == doctest::Approx(1.0));
  const Evaluation own = problem.run(Protocol::activitynet, {0.79, 0.81});
  CHECK(own.average("mean") == doctest::Approx(0.25));
  CHECK_THROWS_AS(own.average("0.1:0.7"), tandem::Error);
}

TEST_CASE("evaluation: bad input is refused with its place") {
  Problem problem;
  problem.instance("v", "a", 0, 10).detection("v", "a", 0, 10, std::nan(""));
  CHECK(has(message_of([&] { problem.run(); }), "detection 0 of video 'v' has the score NaN"));
  problem.detected.videos[0].detections[0] = {{0, INFINITY}, 0, 1};
  CHECK(has(message_of([&] { problem.run(); }), "time that is not finite"));
  problem.detected.videos[0].detections[0] = {{0, 1}, 7, 1};
  CHECK(has(message_of([&] { problem.run(); }), "class 7, but there are 1 classes"));
  problem.detected.videos[0].detections[0] = {{0, 1}, 0, 1};
  CHECK(has(message_of([&] { problem.run(Protocol::activitynet, {0.0}); }), "(0, 1], got 0"));
  CHECK(has(message_of([&] { problem.run(Protocol::activitynet, {NAN}); }), "(0, 1]"));
  CHECK(has(message_of([&] { evaluate(problem.truth, problem.detected, {.subset = "x"}); }),
            "no instance in subset 'x'; its subsets are: test"));
  problem.truth.videos.push_back(problem.truth.videos[0]);
  CHECK(has(message_of([&] { problem.run(); }), "names video 'v' twice"));
  CHECK(has(message_of([&] { protocol_from_name("thumos"); }), "thumos-index"));

  // Reversed and empty segments match nothing, not even each other.
  Problem reversed;
  reversed.instance("v", "a", 5, 5).detection("v", "a", 5, 5, 1).detection("v", "a", 9, 1, 1);
  CHECK(reversed.run().map[0] == 0);
}
