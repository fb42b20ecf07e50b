#include "tandem/wtal/data/annotations.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tandem/wtal/detect/evaluation.hpp"
#include "test_data.hpp"

namespace {

using namespace tandem::wtal;
using tandem_test::test_data;

GroundTruth parse(const std::string& text) {
  return annotations_from_json(tandem::io::JsonDocument::parse(text, "gt.json"));
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

TEST_CASE("annotations: the three JSON layouts") {
  const char* video = R"({"v": {"subset": "validation", "duration": 12.5, "url": "u",
      "annotations": [{"segment": [1, 2.5], "label": "Zumba"}, {"segment": ["3", "4.5"],
      "label": "Archery"}, {"segment": [3, 4], "label": "Zumba"}]},
      "w": {"subset": "testing", "annotations": []}, "x": {}})";
  const std::string whole =
      std::string(R"({"version": "VERSION 1.3", "taxonomy": [{"nodeId": 1}], "database": )") +
      video + "}";
  for (const std::string& text : {std::string(video), whole}) {
    const GroundTruth truth = parse(text);
    CHECK(truth.classes == std::vector<std::string>{"Archery", "Zumba"});
    REQUIRE(truth.videos.size() == 3);
    CHECK(truth.videos[0].id == "v");
    CHECK(truth.videos[0].duration == 12.5);
    CHECK(truth.videos[0].instances ==
          std::vector<Instance>{{{1, 2.5}, 1}, {{3, 4.5}, 0}, {{3, 4}, 1}});
    CHECK(truth.videos[0].labels == std::vector<int>{0, 1});
    CHECK(truth.videos[1].labels.empty());
    CHECK(truth.subsets() == std::vector<std::string>{"validation", "testing", ""});
    CHECK(truth.only("testing").videos.size() == 1);
    CHECK(truth.index().at("w") == 1);
    CHECK(truth.instance_count() == 3);
  }
}

TEST_CASE("annotations: the THUMOS14 table, columns in any order, both line ends") {
  const std::string csv =
      "label-idx,video-name,t-init,t-end\r\n"
      "-1,video_test_0000001,0.0,1.4\r\n"
      "7,video_test_0000001,2,3.5\r\n"
      "4,video_test_0000001,2,3.5\r\n"
      "0,video_validation_0000002,1,2\n";
  const GroundTruth truth = annotations_from_csv(csv, "t.csv");
  CHECK(truth.classes == thumos14_classes());
  CHECK(std::is_sorted(truth.classes.begin(), truth.classes.end()));
  REQUIRE(truth.videos.size() == 2);
  CHECK(truth.videos[0].subset == "test");
  CHECK(truth.videos[0].ambiguous == std::vector<Segment>{{0, 1.4}});
  CHECK(truth.videos[0].instances == std::vector<Instance>{{{2, 3.5}, 7}, {{2, 3.5}, 4}});
  CHECK(truth.videos[0].labels == std::vector<int>{4, 7});
  CHECK(truth.classes[4] == "CliffDiving");
  CHECK(truth.videos[1].subset == "validation");
}

TEST_CASE("annotations: ambiguous stretches") {
  GroundTruth truth = parse(R"({"a": {}, "b": {}})");
  CHECK(add_ambiguous(truth, "a  0.0 1.4\r\n\nb\t2 3\nother 1 2\na 5 6", "amb") == 3);
  CHECK(truth.videos[0].ambiguous == std::vector<Segment>{{0, 1.4}, {5, 6}});
  CHECK(truth.videos[1].ambiguous == std::vector<Segment>{{2, 3}});
  for (const char* bad : {"a 1", "a 1 x", "a 1 2 3", "a 1 nan", "a"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(add_ambiguous(truth, bad, "amb"), tandem::Error);
  }
}

TEST_CASE("annotations: a v_ prefix on one side is removed from both") {
  GroundTruth truth = parse(R"({"v_a": {}, "v_b": {}, "c": {}})");
  DetectionSet detected{{}, {{"a", {}}, {"b", {}}, {"v_x", {}}}};
  const IdAlignment first = align_video_ids(truth, detected);
  CHECK(first.stripped);
  CHECK(first.exact == 0);
  CHECK(first.matched == 2);
  CHECK(truth.videos[0].id == "a");
  CHECK(detected.videos[2].id == "x");
  CHECK_FALSE(align_video_ids(truth, detected).stripped);  // now they match as they are

  GroundTruth both = parse(R"({"v_a": {}, "a": {}})");  // would become one video
  CHECK_FALSE(align_video_ids(both, detected).stripped);
  CHECK(both.videos[0].id == "v_a");
}

TEST_CASE("annotations: errors name the file and the place") {
  CHECK(message_of([] {
          parse(R"({"database": {"v": {"annotations": [{"segment": [1, "x"],
                                 "label": "a"}]}}})");
        }) ==
        "[json] gt.json: database.v.annotations[0].segment[1]: expected a number, found a string "
        "\"x\"");
  CHECK(message_of([] { parse(R"({"results": {}})"); }) ==
        "[json] gt.json: this looks like a file of detections (it has \"results\"), not of ground "
        "truth");
  CHECK(message_of([] { parse("{}"); }) == "[json] gt.json: the file names no video");
  CHECK(message_of([] { parse(R"({"v": 3})"); }) ==
        "[json] gt.json: v: expected a video with \"annotations\", found an integer");
  const auto csv = [](const char* text) {
    return message_of([&] { annotations_from_csv(text, "t.csv"); });
  };
  CHECK(csv("video-name,t-init,t-end\n") == "[csv] t.csv:1: the header has no column 'label-idx'");
  CHECK(csv("video-name,t-init,t-end,label-idx\nv,1,2,20\n") ==
        "[csv] t.csv:2: label-idx counts from -1 to 19, got 20");
  CHECK(csv("video-name,t-init,t-end,label-idx\nv,1,two,3\n") ==
        "[csv] t.csv:2: expected a number in column 't-end', got 'two'");
  CHECK(csv("video-name,t-init,t-end,label-idx\nv,1\n") ==
        "[csv] t.csv:2: expected column 't-end', the line has 2 fields");
  CHECK(csv("") == "[csv] t.csv: the file names no video");
}

TEST_CASE("annotations: published ground truth") {
  if (const auto path = test_data("wtal/basnet_thumos14/gt.json"); !path.empty()) {
    const GroundTruth truth = read_annotations(path);
    CHECK(truth.classes == thumos14_classes());
    CHECK(truth.only("test").videos.size() == 210);
    CHECK(truth.only("test").instance_count() == 3311);
    CHECK(truth.only("train").videos.size() == 200);
  }
  if (const auto path = test_data("wtal/thumos14_test_groundtruth.csv"); !path.empty()) {
    const GroundTruth truth = read_annotations(path);
    CHECK(truth.instance_count() == 3358);
    std::size_t ambiguous = 0;
    for (const VideoTruth& video : truth.videos) ambiguous += video.ambiguous.size();
    CHECK(ambiguous == 99);
    CHECK(truth.subsets() == std::vector<std::string>{"test"});
    // Perfect detections: 1 where seconds are compared. In index units 17 instances are empty.
    DetectionSet perfect{truth.classes, {}};
    for (const VideoTruth& video : truth.videos) {
      VideoDetections out{video.id, {}};
      for (const Instance& i : video.instances) out.detections.push_back({i.segment, i.cls, 1.0});
      perfect.videos.push_back(std::move(out));
    }
    const Evaluation seconds = evaluate(truth, perfect, {.protocol = Protocol::thumos_seconds});
    for (double map : seconds.map) CHECK(map == doctest::Approx(1.0).epsilon(1e-12));
    const Evaluation index = evaluate(truth, perfect, {.protocol = Protocol::thumos_index});
    CHECK(index.empty_instances == 17);
    CHECK(index.classes.size() == 20);
    CHECK(index.map[0] < 1.0);
    CHECK(index.map[0] > 0.9);
  }
}

TEST_CASE("annotations: the published numbers of mmaction2's evaluator test") {
  const auto folder = test_data("wtal/mmaction2_eval_localization");
  if (folder.empty()) return;
  GroundTruth truth = read_annotations(folder + "/gt.json");
  DetectionSet detected = read_detections(folder + "/result.json");
  CHECK(align_video_ids(truth, detected).stripped);
  const Evaluation e = evaluate(truth, detected);
  const double published[] = {0.71428571, 0.71428571, 0.71428571, 0.6875,     0.6875,
                              0.59722222, 0.52083333, 0.52083333, 0.52083333, 0.5};
  for (std::size_t t = 0; t < 10; ++t) CHECK(std::fabs(e.map[t] - published[t]) < 5.1e-9);
  CHECK(std::fabs(e.average("0.5:0.95") - 0.6177579365079365) < 1e-15);
  // The eight digits are those of these fractions.
  CHECK(std::fabs(e.map[0] - 5.0 / 7) < 1e-15);
  CHECK(std::fabs(e.map[5] - 43.0 / 72) < 1e-15);
  CHECK(std::fabs(e.map[6] - 25.0 / 48) < 1e-15);
}
