// The program itself, its main renamed.
#define main evaluate_main
#include "../../examples/evaluate.cpp"
#undef main

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <string>
#include <vector>

#include "../io/temp_dir.hpp"
#include "../wtal/test_data.hpp"

namespace {

struct Run {
  int status = 0;
  std::string out, err;
  bool says(const char* text) const { return out.find(text) != std::string::npos; }
  bool warns(const std::string& text) const { return err.find(text) != std::string::npos; }
};

/// Runs the program with its output going to files.
Run run(std::vector<std::string> words) {
  words.insert(words.begin(), "evaluate");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  tandem_test::TempDir dir;
  const std::string paths[2] = {dir.path("out"), dir.path("err")};
  int saved[2];
  std::fflush(nullptr);
  for (int i = 0; i < 2; ++i) {
    saved[i] = ::dup(i + 1);
    std::FILE* file = std::fopen(paths[i].c_str(), "w");
    ::dup2(::fileno(file), i + 1);
    std::fclose(file);
  }
  Run result;
  result.status = evaluate_main(static_cast<int>(argv.size()), argv.data());
  std::fflush(nullptr);
  for (int i = 0; i < 2; ++i) {
    ::dup2(saved[i], i + 1);
    ::close(saved[i]);
  }
  result.out = tandem::io::read_text(paths[0]);
  result.err = tandem::io::read_text(paths[1]);
  return result;
}

}  // namespace

TEST_CASE("evaluate: a small data set, from files to the JSON result") {
  tandem_test::TempDir dir;
  const std::string truth = dir.path("gt.json"), detections = dir.path("d.json"),
                    out = dir.path("o.json");
  tandem::io::write_text(truth, R"({"database": {
    "v_a": {"subset": "validation", "annotations": [{"segment": [0, 10], "label": "CleanAndJerk"}]},
    "v_b": {"subset": "validation", "annotations": [{"segment": [0, 10], "label": "Diving"}]},
    "v_c": {"subset": "validation", "annotations": []},
    "v_t": {"subset": "training", "annotations": [{"segment": [0, 10], "label": "Diving"}]}}})");
  tandem::io::write_text(detections, R"({"results": {
    "a": [{"label": "CleanAndJerk", "score": 0.9, "segment": [0, 8]},
          {"label": "Clean and jerk", "score": 0.9, "segment": [0, 8]}],
    "c": [{"label": "CleanAndJerk", "score": 0.95, "segment": [0, 8]}],
    "zzz": []}})");
  const Run r = run({"--ground-truth", truth, "--detections", detections, "--protocol",
                     "activitynet", "--json", out, "--per-class"});
  CHECK(r.status == 0);
  CHECK(r.says("protocol      activitynet"));
  CHECK(r.says("which was removed: 2 videos matched"));
  CHECK(r.says("subset validation: 3 videos, 2 instances, 2 classes"));
  CHECK(r.says("CleanAndJerk  "));
  CHECK(r.warns("1 detected video without any annotated instance; their detections are false"));
  CHECK(r.warns("1 annotated video missing from the detections; their instances are missed: b"));
  CHECK(r.warns("\"Clean and jerk\" (the ground truth writes \"CleanAndJerk\")"));
  // CleanAndJerk: a false positive, then a hit at 7 of 10 thresholds; Diving: nothing.
  const auto json = tandem::io::load_json(out);
  CHECK(json.at("averages").at("0.5:0.95").get<double>() == doctest::Approx(0.5 * 0.7 / 2));
  CHECK(json.at("map").at(0).get<double>() == 0.25);
  CHECK(json.at("classes").at(1).at("name") == "Diving");
  CHECK(json.at("undetected_videos").at(0) == "b");

  const Run other =
      run({"--ground-truth", truth, "--detections", detections, "--protocol", "thumos-index",
           "--subset", "all", "--tiou", "0.5,0.9", "--ignore-unannotated-videos"});
  CHECK(other.status == 0);
  CHECK(other.says("average mAP mean"));
  CHECK(other.warns("no ambiguous segments"));
  CHECK(other.warns("their detections are left out"));

  const Run subset =
      run({"--ground-truth", truth, "--detections", detections, "--protocol", "thumos-seconds"});
  CHECK(subset.status == 1);
  CHECK(subset.warns("the ground truth has the subsets 'validation', 'training'; choose one"));
  const Run typo = run({"--ground-truth", truth, "--detections", detections, "--protocol",
                        "activitynet", "--subset", "valdation"});
  CHECK(typo.warns("did you mean \"validation\"?"));
  const Run swapped =
      run({"--ground-truth", detections, "--detections", truth, "--protocol", "activitynet"});
  CHECK(swapped.status == 1);
  CHECK(swapped.warns("looks like a file of detections"));
  CHECK(run({"--ground-truth", truth, "--detectoins", detections}).warns("--detections?"));
  CHECK(run({"--help"}).says("Example:"));
}

TEST_CASE("evaluate: ties that decide and segments without length are said") {
  tandem_test::TempDir dir;
  const std::string truth = dir.path("gt.json"), detections = dir.path("d.json"),
                    out = dir.path("o.json");
  // One detection covers two instances equally, a second fits one of them: the official evaluator
  // gives the first detection the last instance, and AP 0.5.
  tandem::io::write_text(truth, R"({"database": {"a": {"subset": "test", "annotations": [
    {"segment": [0, 3], "label": "X"}, {"segment": [3, 6], "label": "X"}]}}})");
  tandem::io::write_text(detections, R"({"results": {"a": [
    {"label": "X", "score": 0.9, "segment": [0, 6]}, {"label": "X", "score": 0.8, "segment": [3, 6]}]}})");
  const Run ties = run({"--ground-truth", truth, "--detections", detections, "--protocol",
                        "activitynet", "--tiou", "0.5", "--json", out});
  CHECK(ties.status == 0);
  CHECK(ties.says("ties          decide here: 0 detections"));
  CHECK(ties.says("1 detection with several instances"));
  CHECK(ties.says("100.00 instead of 50.00 % at tIoU 0.5"));
  const auto json = tandem::io::load_json(out);
  CHECK(json.at("map").at(0).get<double>() == 0.5);
  CHECK(json.at("map_with_ties_reversed").at(0).get<double>() == 1.0);
  CHECK(json.at("tied_overlaps").get<int>() == 1);
  CHECK_FALSE(ties.says("no length"));

  tandem::io::write_text(truth, R"({"database": {"a": {"subset": "test", "annotations": [
    {"segment": [5, 5], "label": "X"}, {"segment": [10, 20], "label": "X"}]}}})");
  tandem::io::write_text(detections, R"({"results": {"a": [
    {"label": "X", "score": 0.9, "segment": [5, 5]}, {"label": "X", "score": 0.8, "segment": [10, 20]}]}})");
  for (const char* protocol : {"activitynet", "thumos-seconds", "thumos-index"}) {
    const Run points = run({"--ground-truth", truth, "--detections", detections, "--protocol",
                            protocol, "--subset", "test", "--json", out});
    CHECK(points.status == 0);
    CHECK(points.says("1 instance"));
    CHECK(points.says("1 detection, counted as false positives (the official"));
    CHECK_FALSE(points.says("decide here"));
    CHECK(tandem::io::load_json(out).at("map").at(0).get<double>() == 0.25);
    CHECK(tandem::io::load_json(out).at("empty_detections").get<int>() == 1);
  }
}

TEST_CASE("evaluate: what ends before it starts is named, and is not said to be without length") {
  tandem_test::TempDir dir;
  const std::string truth = dir.path("gt.json"), detections = dir.path("d.json"),
                    ambiguous = dir.path("Ambiguous_test.txt"), out = dir.path("o.json");
  tandem::io::write_text(truth, R"({"database": {"a": {"subset": "test", "annotations": [
    {"segment": [10, 20], "label": "X"}, {"segment": [9, 6], "label": "X"}]}}})");
  tandem::io::write_text(detections, R"({"results": {"a": [
    {"label": "X", "score": 0.9, "segment": [10, 20]}, {"label": "X", "score": 0.8, "segment": [5, 2]}]}})");
  tandem::io::write_text(ambiguous, "a 50 40\n");
  for (const char* protocol : {"activitynet", "thumos-seconds", "thumos-index"}) {
    const Run r = run({"--ground-truth", truth, "--detections", detections, "--protocol", protocol,
                       "--ambiguous", ambiguous, "--json", out});
    CHECK(r.status == 0);
    CHECK(r.warns("1 segment ends before it starts; nothing can match it (" + truth +
                  ": a, segment 1: [9, 6])"));
    CHECK(r.warns("1 detection ends before it starts; it can match nothing (" + detections +
                  ": a, detection 1: [5, 2])"));
    CHECK(r.warns(ambiguous + ":1: the ambiguous segment [50, 40] of a ends before it starts"));
    CHECK(r.says("end < start   1 instance, counted as missed; 1 detection, counted as false"));
    CHECK_FALSE(r.says("no length"));
    const auto json = tandem::io::load_json(out);
    CHECK(json.at("reversed_detections").get<int>() == 1);
    CHECK(json.at("reversed_instances").get<int>() == 1);
    CHECK(json.at("map").at(0).get<double>() == 0.5);
  }
}

TEST_CASE("evaluate: the handed cases of ties and points") {
  const std::string data = tandem_test::test_data("../cases/evaluate");
  if (data.empty()) return;
  tandem_test::TempDir dir;
  const std::string out = dir.path("o.json");
  const auto ap = [&](const std::string& name, const char* subset) {
    const Run r = run({"--ground-truth", data + "/" + name + "_gt.json", "--detections",
                       data + "/" + name + "_det.json", "--protocol", "activitynet", "--tiou",
                       "0.5", "--subset", subset, "--json", out});
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return tandem::io::load_json(out).at("map").at(0).get<double>();
  };
  CHECK(ap("ties", "test") == 0.5);
  CHECK(ap("zero_length", "validation") == 0.25);
}

TEST_CASE("evaluate: the published numbers of mmaction2's evaluator test") {
  const std::string folder = tandem_test::test_data("wtal/mmaction2_eval_localization");
  if (folder.empty()) return;
  tandem_test::TempDir dir;
  const std::string out = dir.path("o.json");
  const Run r = run({"--ground-truth", folder + "/gt.json", "--detections", folder + "/result.json",
                     "--protocol", "activitynet", "--json", out});
  REQUIRE(r.status == 0);
  const auto json = tandem::io::load_json(out);
  CHECK(std::fabs(json.at("averages").at("0.5:0.95").get<double>() - 0.6177579365079365) < 1e-9);
}

TEST_CASE("evaluate: every layout of the THUMOS14 ground truth gives the same numbers") {
  const std::string csv = tandem_test::test_data("wtal/thumos14_test_groundtruth.csv");
  const std::string basnet = tandem_test::test_data("wtal/basnet_thumos14");
  const std::string wtalc = tandem_test::test_data("wtal/Thumos14reduced-Annotations");
  if (csv.empty() || basnet.empty() || wtalc.empty()) return;
  // Detections that are the instances of the table, moved and shortened in a fixed way.
  tandem_test::TempDir dir;
  const std::string detections = dir.path("d.json");
  const GroundTruth truth = read_annotations(csv);
  DetectionSet set{truth.classes, {}};
  int n = 0;
  for (const VideoTruth& video : truth.videos) {
    VideoDetections one{video.id, {}};
    for (const Instance& i : video.instances) {
      const double step = 0.64;
      const double start = step * std::floor(i.segment.start / step + n % 3);
      const double end = step * std::ceil(i.segment.end / step + n % 5 - 1);
      one.detections.push_back({{start, end}, i.cls, (n % 97) / 97.0});
      ++n;
    }
    set.videos.push_back(std::move(one));
  }
  write_detections(detections, set);
  const auto average = [&](const std::string& ground_truth, const std::string& protocol) {
    const std::string out = dir.path("o.json");
    const Run r = run({"--ground-truth", ground_truth, "--detections", detections, "--protocol",
                       protocol, "--json", out});
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return tandem::io::load_json(out).at("averages").at("0.3:0.7").get<double>();
  };
  for (const char* protocol : {"thumos-index", "thumos-seconds"}) {
    CAPTURE(protocol);
    CHECK(average(csv, protocol) > 0.1);
    CHECK(average(wtalc, protocol) == average(csv, protocol));
  }
  // BaS-Net leaves three videos out: a little less.
  const double fewer = average(basnet, "thumos-seconds");
  CHECK(std::fabs(fewer - average(csv, "thumos-seconds")) < 0.02);
}
