/// Video-level labels alone are a data set; what is not read need not exist; odd annotations are
/// said.

#include <doctest/doctest.h>
#include <unistd.h>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "tandem/wtal/data/datasets.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace tandem_test;

namespace {

GroundTruth read_json(const std::string& videos) {
  return annotations_from_json(
      io::JsonDocument::parse("{\"database\": {" + videos + "}}", "gt.json"));
}
std::string json_error(const std::string& videos) {
  return error_of([&] { read_json(videos); });
}

void write_rows(const std::string& folder, const std::vector<std::string>& ids,
                std::int64_t columns) {
  io::make_directories(folder);
  for (const std::string& id : ids) {
    Tensor<float> x(Shape{10, columns});
    x.fill_(1);
    io::save_npy(folder + "/" + id + ".npy", x);
  }
}

bool has_note(const std::vector<std::string>& notes, const char* part) {
  return std::any_of(notes.begin(), notes.end(),
                     [&](const std::string& note) { return contains(note, part); });
}

}  // namespace

TEST_CASE("weak labels: every way to say what a video shows without saying when") {
  for (
      const char* video : {
          R"("a": {"subset": "train", "annotations": [{"label": "Run"}, {"label": "Jump"}]})",
          R"("a": {"subset": "train", "annotations": [{"label": "Run", "segment": null}, {"label": "Jump"}]})",
          R"("a": {"subset": "train", "annotations": ["Run", "Jump", "Run"]})",
          R"("a": {"subset": "train", "annotations": [], "labels": ["Jump", "Run"]})",
          R"("a": {"subset": "train", "labels": ["Run", "Jump"]})",
          R"("a": {"subset": "train", "label": "Jump", "labels": "Run"})",
          R"("a": {"subset": "train", "annotations": null, "label": ["Run", "Jump"]})",
      }) {
    CAPTURE(video);
    const GroundTruth truth = read_json(video);
    CHECK(truth.classes == std::vector<std::string>{"Jump", "Run"});
    CHECK(truth.videos[0].labels == std::vector<int>{0, 1});
    CHECK(truth.videos[0].instances.empty());
  }
  // Labels and segments add up.
  const GroundTruth both = read_json(
      R"("a": {"annotations": [{"label": "Run", "segment": [1, 2]}], "labels": ["Jump"]})");
  CHECK(both.videos[0].labels == std::vector<int>{0, 1});
  CHECK(both.videos[0].instances == std::vector<Instance>{{{1, 2}, 1}});
  CHECK(contains(json_error(R"("a": {"labels": [3]})"),
                 "database.a.labels[0]: expected a string, found an integer"));
  CHECK(contains(json_error(R"("a": {"labels": {"Run": 1}})"),
                 "database.a.labels: expected an array"));
  // The table of THUMOS14.
  const GroundTruth table = annotations_from_csv(
      "video-name,t-init,t-end,label-idx\nvideo_validation_1,,,7\nvideo_test_1,1,2,7\n", "t.csv");
  CHECK(table.videos[0].labels == std::vector<int>{7});
  CHECK(table.videos[0].instances.empty());
  CHECK(table.videos[1].labels == std::vector<int>{7});
  CHECK(contains(error_of([&] {
                   annotations_from_csv("video-name,t-init,t-end,label-idx\na,,,-1\n", "t.csv");
                 }),
                 "t.csv:2: an ambiguous stretch needs its times"));
  CHECK(contains(error_of([&] {
                   annotations_from_csv("video-name,t-init,t-end,label-idx\na,1,,2\n", "t.csv");
                 }),
                 "expected a number in column 't-end'"));
}

TEST_CASE("weak labels: a W-TALC folder without segments") {
  GroundTruth truth;
  truth.classes = {"Run", "Jump"};
  truth.videos = {{.id = "a", .subset = "validation", .labels = {1}},
                  {.id = "b", .subset = "validation", .labels = {0, 1}}};
  const TempDir dir;
  write_wtalc(dir.path("A"), truth);
  const auto check = [&] {
    const GroundTruth read = read_ground_truth(dir.path(""));
    REQUIRE(read.videos.size() == 2);
    CHECK(read.videos[0].labels == std::vector<int>{1});
    CHECK(read.videos[1].labels == std::vector<int>{0, 1});
    CHECK(read.instance_count() == 0);
  };
  check();
  ::unlink(dir.path("A/segments.npy").c_str());
  check();
  ::unlink(dir.path("A/labels.npy").c_str());
  check();
  // Or labels.npy alone, one list per video, with or without empty segments.
  write_wtalc(dir.path("A"), truth);
  io::save_npy_objects(dir.path("A/labels.npy"), io::parse_json(R"([["Jump"], ["Run", "Jump"]])"));
  ::unlink(dir.path("A/labels_all.npy").c_str());
  check();
  ::unlink(dir.path("A/segments.npy").c_str());
  check();
}

TEST_CASE("weak labels: names that differ in their spelling only are one class, and said so") {
  const char* rest = R"(, "annotations": [{"label": "BaseballPitch", "segment": [1, 2]}]},
                        "t": {"subset": "test", "annotations": [{"label": ")";
  for (const char* other :
       {"baseball pitch", "Baseball_Pitch", "baseball-pitch", "BASEBALLPITCH", " BaseballPitch"}) {
    CAPTURE(other);
    const std::string message = json_error(
        concat("\"a\": {\"subset\": \"train\"", rest, other, "\", \"segment\": [1, 2]}]}"));
    CHECK(contains(message,
                   concat("database.t.annotations[0].label: the classes \"BaseballPitch\" and \"",
                          other, "\" differ only in case, spaces or punctuation")
                       .c_str()));
  }
  CHECK(read_json(R"("a": {"labels": ["C", "C++", "C#", "Run", "Runs"]})").classes.size() == 5);
  const TempDir dir;
  GroundTruth truth;
  truth.classes = {"Run", "run"};
  truth.videos = {{.id = "a", .subset = "validation", .labels = {1}}};
  write_wtalc(dir.path("A"), truth);
  CHECK(contains(error_of([&] { read_wtalc(dir.path("A")); }),
                 "classlist.npy: the classes \"Run\" and \"run\" differ"));
}

TEST_CASE("weak labels: segments that cannot be meant are noted") {
  const TempDir dir;
  io::write_text(dir.path("gt.json"), R"({"a": {"annotations": [{"label": "Run", "segment": [5, 3]},
      {"label": "Run", "segment": [-2, 1]}, {"label": "Run", "segment": [4, 4]}]}})");
  std::vector<std::string> notes;
  read_ground_truth(dir.path("gt.json"), &notes);
  REQUIRE(notes.size() == 2);
  const std::string file = dir.path("gt.json");
  CHECK(notes[0] == "1 segment ends before it starts; nothing can match it (" + file +
                        ": a, segment 0: [5, 3])");
  CHECK(notes[1] == "1 segment starts before its video (" + file + ": a, segment 1: [-2, 1])");
}

TEST_CASE("weak labels: ambiguous segments and detections that end before they start are noted") {
  GroundTruth truth;
  truth.videos = {{.id = "a"}, {.id = "b"}};
  std::vector<std::string> notes;
  CHECK(add_ambiguous(truth, "a 1 2\nother 5 2\nb 5 2\n", "Ambiguous_test.txt", &notes) == 2);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] ==
        "Ambiguous_test.txt:3: the ambiguous segment [5, 2] of b ends before it starts; nothing "
        "touches it");
  notes.clear();
  note_segments(truth, notes);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] ==
        "1 ambiguous segment ends before it starts; nothing touches it (b, ambiguous segment 0: "
        "[5, 2])");
  notes.clear();
  const DetectionSet found = detections_from_json(io::JsonDocument::parse(
      R"({"results": {"a": [{"label": "Run", "score": 1, "segment": [1, 2]},
                            {"label": "Run", "score": 1, "segment": [5, 2]},
                            {"label": "Run", "score": 1, "segment": [4, 4]}],
                      "b": [{"label": "Run", "score": 1, "segment": [3, 1]}]}})",
      "found.json"));
  note_detections(found, notes, "found.json");
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] ==
        "2 detections end before they start; they can match nothing (first found.json: a, "
        "detection 1: [5, 2])");
}

TEST_CASE("weak labels: which subsets there are to train and to test on") {
  const auto subsets = [](const char* videos) { return find_subsets(read_json(videos)); };
  SubsetNames found = subsets(R"("a": {"subset": "train", "labels": ["Run"]})");
  CHECK(found.train == "train");
  CHECK_FALSE(found.has_test);
  CHECK_FALSE(subsets(R"("a": {"subset": "validation", "labels": ["Run"]})")
                  .has_test);                      // THUMOS14's training half
  found = subsets(R"("a": {"labels": ["Run"]})");  // no subsets at all
  CHECK(found.train.empty());
  CHECK_FALSE(found.has_test);
  CHECK(contains(error_of([&] { subsets(R"("a": {"subset": "test"})"); }),
                 "there is nothing to train on"));
  CHECK(contains(error_of([&] { subsets(R"("a": {"subset": "x"}, "b": {"subset": "y"})"); }),
                 "'x', 'y'"));
  // An unannotated test half is tested on where it is the only one …
  found = subsets(R"("a": {"subset": "train", "labels": ["Run"]}, "b": {"subset": "test"})");
  CHECK(found.has_test);
  CHECK(found.test == "test");
  // … and ActivityNet's is not, since validation is annotated.
  found = subsets(R"("a": {"subset": "training", "labels": ["Run"]}, "b": {"subset": "testing"},
                     "c": {"subset": "validation", "annotations": [{"label": "Run", "segment": [1, 2]}]})");
  CHECK(found.train == "training");
  CHECK(found.test == "validation");
}

TEST_CASE("weak labels: rows that are not read, and videos that are not used, need not exist") {
  const TempDir dir;
  io::write_text(dir.path("gt.json"),
                 R"({"a": {"subset": "training", "labels": ["Run"], "duration": 6.4},
      "b": {"subset": "validation", "annotations": [{"label": "Run", "segment": [1, 2]}]}, "c": {"subset": "testing"}})");
  write_rows(dir.path("i3d"), {"a", "b"}, 4);
  const auto open = [&](DatasetOptions options) {
    return Dataset(find_dataset(dir.path(""), options)).truth().videos.size();
  };
  CHECK(contains(error_of([&] { open({}); }), "holds no CLIP features"));
  CHECK(contains(error_of([&] { open({.need_clip = false}); }),
                 "1 of 3 videos have no features: c (I3D)"));
  const std::vector<std::string> used{"training", "validation"};
  CHECK(open({.need_clip = false, .subsets = used}) == 2);
  CHECK(contains(error_of([&] { open({.need_i3d = false, .need_clip = false, .subsets = used}); }),
                 "there are no features"));
  const Dataset data(find_dataset(dir.path(""), {.need_clip = false, .subsets = used}));
  CHECK(data.i3d(0).shape() == Shape{10, 4});
  CHECK_FALSE(data.clip(0).defined());
  CHECK(data.clip_columns() == 0);
  CHECK(data.seconds_per_row(0) == 0.64);
  CHECK_FALSE(has_note(data.notes(), "labels that differ"));
  const Batch<float> batch = make_batch<float>(data, {{0, 0, 10}, {1, 0, 10}});
  CHECK(batch.i3d.shape() == Shape{2, 10, 4});
  CHECK_FALSE(batch.clip.defined());
  CHECK(batch.labels.to_vector() == std::vector<float>{1, 1});
  // CLIP rows alone; I3D files that are wrong are not looked at.
  write_rows(dir.path("clip"), {"a", "b"}, 3);
  io::write_text(dir.path("i3d/a.npy"), "nonsense");
  const Dataset clip(find_dataset(dir.path(""), {.need_i3d = false, .subsets = used}));
  CHECK_FALSE(clip.i3d(0).defined());
  CHECK(clip.clip(1).shape() == Shape{10, 3});
  CHECK(clip.rows(1) == 10);
  // What extract_features wrote beside the rows counts, and what it contradicts is refused.
  io::make_directories(dir.path("provenance"));
  for (const char* id : {"a", "b"}) {
    io::write_text(dir.path(concat("provenance/", id, ".json")),
                   R"({"seconds_per_row": 0.32, "rows": 10})");
  }
  CHECK(contains(error_of([&] { open({.need_i3d = false, .subsets = used}); }),
                 "1 of 1 videos have features that last 0.5 times as long as their annotation "
                 "says; a: 10 rows of 0.32 s"));
}
