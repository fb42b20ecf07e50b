#include "tandem/wtal/data/detections_json.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "../io/temp_dir.hpp"
#include "test_data.hpp"

namespace {

using namespace tandem::wtal;
using tandem_test::test_data;

DetectionSet parse(const std::string& text) {
  return detections_from_json(tandem::io::JsonDocument::parse(text, "out.json"));
}

std::string message_of(auto&& call) {
  try {
    call();
  } catch (const tandem::Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("detections_json: a file is read in its order") {
  const DetectionSet set = parse(R"({"version": "VERSION 1.3", "note": [1, 2],
    "results": {"z": [{"score": 0.5, "segment": [1, 2.5], "label": "Jump", "more": null},
                      {"label": "Run", "score": 1, "segment": ["3.25", "4"]}],
                "a": []},
    "external_data": {"used": false}})");
  CHECK(set.classes == std::vector<std::string>{"Jump", "Run"});
  REQUIRE(set.videos.size() == 2);
  CHECK(set.videos[0].id == "z");
  CHECK(set.videos[0].detections ==
        std::vector<Detection>{{{1, 2.5}, 0, 0.5}, {{3.25, 4}, 1, 1.0}});
  CHECK(set.videos[1] == VideoDetections{"a", {}});
  CHECK(set.size() == 2);
}

TEST_CASE("detections_json: what is written is read back bit for bit") {
  tandem_test::TempDir dir;
  std::mt19937_64 rng(11);
  std::uniform_real_distribution<double> uniform(-1, 500);
  DetectionSet set;
  set.classes = {"Clean and jerk", "quote \" backslash \\", "čaj ☕"};
  for (const char* id : {"v_2", "v_1", "ünï", ""}) {
    VideoDetections video{id, {}};
    for (int i = 0; i < 50; ++i) {
      video.detections.push_back({{uniform(rng), uniform(rng)}, i % 3, uniform(rng) * 1e-9});
    }
    set.videos.push_back(std::move(video));
  }
  set.videos[0].detections[0].score = std::numeric_limits<double>::denorm_min();
  set.videos[0].detections[1].score = -0.0;
  set.videos[0].detections[2].segment = {0.1, 1e300};
  const std::string path = dir.path("out.json");
  write_detections(path, set, {.version = "x", .external_data = true, .details = "kinetics"});
  const DetectionSet back = read_detections(path);
  CHECK(back.classes == set.classes);
  CHECK(back.videos == set.videos);
  CHECK(std::signbit(back.videos[0].detections[1].score));
  CHECK(dir.entries() == std::vector<std::string>{"out.json"});
  // The three keys that the official evaluator insists on.
  const auto root = tandem::io::load_json(path);
  CHECK(root.at("version") == "x");
  CHECK(root.at("external_data").at("details") == "kinetics");
  CHECK(root.contains("results"));
}

TEST_CASE("detections_json: errors name the file and the place") {
  CHECK(message_of([] {
          parse(R"({"results": {"video_3": [{"label": "a", "score": 1, "segment": [0, 1]},
                                {"label": "a", "score": 1, "segment": [0, 1]},
                                {"label": "a", "score": 1, "segment": [0, 1, 2]}]}})");
        }) ==
        "[json] out.json: results.video_3[2].segment: expected two numbers, got an array of 3");
  CHECK(message_of([] {
          parse(R"({"results": {"v": [{"label": "a", "score": "high",
                                 "segment": [0, 1]}]}})");
        }) == "[json] out.json: results.v[0].score: expected a number, found a string \"high\"");
  CHECK(message_of([] {
          parse(R"({"results": {"v": [{"labels": "a", "score": 1,
                                 "segment": [0, 1]}]}})");
        }) ==
        "[json] out.json: results.v[0]: the key \"label\" is missing; did you mean \"labels\"?");
  CHECK(message_of([] {
          parse(R"({"results": {"v": [{"label": 3, "score": 1,
                                 "segment": [0, 1]}]}})");
        }) == "[json] out.json: results.v[0].label: expected a string, found an integer");
  CHECK(message_of([] { parse(R"({"results": [1]})"); }) ==
        "[json] out.json: results: expected an object, found an array");
  CHECK(message_of([] { parse(R"({"result": {}})"); }) ==
        "[json] out.json: the key \"results\" is missing; did you mean \"result\"?");
  for (const char* bad :
       {"", "[]", "{", R"({"results": {"v": [1]}})", R"({"results": {"v": {}}})",
        R"({"results": {"v": [{"segment": ["a", "b"]}]}})",
        R"({"results": {"v": [{"segment": [NaN, 1]}]}})", R"({"results": {"v": [], "v": []}})"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse(bad), tandem::Error);
  }
  CHECK_THROWS_AS(read_detections("/nowhere/at/all.json"), tandem::Error);
}

TEST_CASE("detections_json: what JSON cannot hold is refused, and nothing is written") {
  tandem_test::TempDir dir;
  const std::string path = dir.path("out.json");
  DetectionSet set{{"a"}, {{"v", {{{0, 1}, 0, NAN}}}}};
  CHECK(message_of([&] { write_detections(path, set); }) ==
        "[write_detections] detection 0 of video 'v' has a score or time that is not finite");
  set.videos[0].detections[0] = {{0, 1}, 2, 1};
  CHECK_THROWS_AS(write_detections(path, set), tandem::Error);
  set = {{"a"}, {{"v", {}}, {"v", {}}}};
  CHECK_THROWS_AS(write_detections(path, set), tandem::Error);
  CHECK(dir.entries().empty());
}

TEST_CASE("detections_json: published files") {
  if (const auto path = test_data("wtal/activitynet13/sample_detection_prediction.json");
      !path.empty()) {
    const DetectionSet set = read_detections(path);
    CHECK(set.videos.size() == 4926);
    CHECK(set.size() == 7654);
    CHECK(set.videos[0].id == "wONwHYy59Tc");
    CHECK(set.classes[0] == "Blow-drying hair");
  }
  if (const auto path = test_data("wtal/mmaction2_eval_localization/result.json"); !path.empty()) {
    const DetectionSet set = read_detections(path);  // has only "results"
    CHECK(set.videos.size() == 2);
    CHECK(set.size() == 14);
  }
}
