#include "tandem/wtal/data/datasets.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace tandem_test;

namespace {

/// The optional folder of real annotations, or "" after saying that the test is skipped.
std::string real_data() {
  const char* given = std::getenv("TANDEM_TEST_DATA");
  const std::string root = given != nullptr ? given : TANDEM_SOURCE_DIR "/../shared/data";
  if (io::is_directory(root + "/wtal")) return root + "/wtal";
  MESSAGE("skipped: no annotations in " << root << "/wtal (set TANDEM_TEST_DATA)");
  return "";
}

io::JsonDocument facts() {
  return io::JsonDocument::load(TANDEM_SOURCE_DIR "/tests/golden/wtal_facts.json");
}

/// Four videos in two classes, with the oddities of the real files.
GroundTruth small_truth() {
  GroundTruth truth;
  truth.classes = {"CliffDiving", "Diving"};
  VideoTruth a{.id = "video_validation_1", .subset = "validation", .duration = 6.4};
  a.instances = {{{0.5, 2.25}, 0}, {{0.5, 2.25}, 1}};  // one action under two classes
  a.labels = {0, 1};
  VideoTruth b{.id = "video_validation_2", .subset = "validation", .duration = 3.2};
  b.instances = {{{1.0, 9.0}, 1}};  // past the end
  b.labels = {0};                   // and labelled otherwise
  VideoTruth c{.id = "video_test_1", .subset = "test", .duration = 1.28};
  c.instances = {{{0.1, 0.2}, 1}};
  c.labels = {1};
  c.ambiguous = {{0.5, 0.75}};
  VideoTruth d{.id = "video_test_2", .subset = "test", .duration = 2.56};
  d.instances = {{{1.0, 2.0}, 0}};  // no label at all
  truth.videos = {a, b, c, d};
  return truth;
}

/// Rows that say where they come from: 1000 video + row + column / 1024.
template <class T = float>
Tensor<T> rows_of(std::int64_t video, std::int64_t rows, std::int64_t columns,
                  std::int64_t first = 0) {
  Tensor<T> x({rows, columns});
  T* p = x.mutable_data();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    p[i] = static_cast<T>(1000 * video + i / columns) +
           static_cast<T>(first + i % columns) / static_cast<T>(1024);
  }
  return x;
}
constexpr std::int64_t kRows[] = {10, 5, 2, 4};

void write_clip(const TempDir& dir, std::int64_t extra = 0) {
  io::make_directories(dir.path("clip"));
  const GroundTruth truth = small_truth();
  for (std::size_t v = 0; v < 4; ++v) {
    const auto i = static_cast<std::int64_t>(v);
    // float64 for every second video, as some programs write.
    const std::string path = dir.path("clip/" + truth.videos[v].id + ".npy");
    if (v % 2 == 0) {
      io::save_npy(path, rows_of(i, kRows[v] + extra, 3));
    } else {
      io::save_npy(path, rows_of<double>(i, kRows[v] + extra, 3));
    }
  }
}

void write_joint(const TempDir& dir) {
  std::vector<Tensor<float>> all;
  for (std::int64_t v = 0; v < 4; ++v) all.push_back(rows_of(v, kRows[v], 8));
  io::save_npy_objects(dir.path("Small-I3D-JOINTFeatures.npy"), all);
}

void check_rows(const VideoSource& source, std::size_t video, std::int64_t number) {
  CHECK(source.i3d(video).to_vector() == rows_of(number, kRows[number], 8).to_vector());
  CHECK(source.clip(video).to_vector() == rows_of(number, kRows[number], 3).to_vector());
}

bool has_note(const Dataset& data, const char* part) {
  for (const std::string& note : data.notes()) {
    if (contains(note, part)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("datasets: the published W-TALC folders, against NumPy's own reading of them") {
  const std::string root = real_data();
  if (root.empty()) return;
  const auto document = facts();
  for (const char* key : {"thumos14", "activitynet12"}) {
    CAPTURE(key);
    const bool thumos = std::string(key) == "thumos14";
    const auto expected = document.root()[key];
    const GroundTruth truth = read_wtalc(
        root + (thumos ? "/Thumos14reduced-Annotations" : "/ActivityNet1.2-Annotations"));
    REQUIRE(truth.classes.size() == expected["classes"].size());
    for (std::size_t c = 0; c < truth.classes.size(); ++c) {
      CHECK(truth.classes[c] == expected["classes"][c].string());
    }
    CHECK(static_cast<std::int64_t>(truth.videos.size()) == expected["videos"].integer());
    std::int64_t past = 0, empty = 0, disagreeing = 0, ambiguous = 0;
    double durations = 0;
    std::vector<std::string> unlabelled;
    for (const VideoTruth& video : truth.videos) {
      std::vector<int> own;
      for (const Instance& instance : video.instances) {
        past += instance.segment.end > video.duration;
        empty += instance.segment.length() <= 0;
        own.push_back(instance.cls);
      }
      std::sort(own.begin(), own.end());
      own.erase(std::unique(own.begin(), own.end()), own.end());
      disagreeing += own != video.labels;
      if (video.labels.empty()) unlabelled.push_back(video.id);
      ambiguous += static_cast<std::int64_t>(video.ambiguous.size());
      durations += video.duration;
    }
    CHECK(past == expected["past_duration"].integer());
    CHECK(empty == expected["not_positive"].integer());
    CHECK(disagreeing == expected["disagreeing"].integer());
    CHECK(ambiguous == expected["ambiguous"].integer());
    // NumPy adds pairwise, we in order: both within n·eps of the exact sum.
    CHECK(std::abs(durations - expected["duration_sum"].number()) <
          static_cast<double>(truth.videos.size()) * 2.3e-16 * durations);
    REQUIRE(unlabelled.size() == expected["unlabelled"].size());
    for (std::size_t i = 0; i < unlabelled.size(); ++i) {
      CHECK(unlabelled[i] == expected["unlabelled"][i].string());
    }
    for (const auto& [name, value] : expected["subsets"].members()) {
      const auto subset = expected["subsets"].of(value);
      const GroundTruth part = truth.only(name);
      CHECK(static_cast<std::int64_t>(part.videos.size()) == subset["videos"].integer());
      CHECK(part.videos.front().id == subset["first"].string());
      CHECK(part.videos.back().id == subset["last"].string());
      std::vector<std::int64_t> instances(truth.classes.size()), labels(truth.classes.size());
      double starts = 0, ends = 0;
      for (const VideoTruth& video : part.videos) {
        for (const Instance& instance : video.instances) {
          ++instances[static_cast<std::size_t>(instance.cls)];
          starts += instance.segment.start;
          ends += instance.segment.end;
        }
        for (const int c : video.labels) ++labels[static_cast<std::size_t>(c)];
      }
      for (std::size_t c = 0; c < truth.classes.size(); ++c) {
        CHECK(instances[c] == subset["instances"][c].integer());
        CHECK(labels[c] == subset["video_labels"][c].integer());
      }
      CHECK(starts == subset["start_sum"].number());
      CHECK(ends == subset["end_sum"].number());
    }
    CHECK(find_subsets(truth).train == (thumos ? "validation" : "training"));
    CHECK(find_subsets(truth).test == (thumos ? "test" : "validation"));
  }
}

TEST_CASE("datasets: what is known about THUMOS14 survives reading and writing") {
  const std::string root = real_data();
  if (root.empty()) return;
  const GroundTruth truth = read_ground_truth(root + "/Thumos14reduced-Annotations");
  CHECK(truth.only("validation").videos.size() == 200);
  CHECK(truth.only("test").videos.size() == 212);
  // Every CliffDiving instance is a Diving instance too.
  const int cliff = truth.class_index("CliffDiving"), diving = truth.class_index("Diving");
  std::size_t cliffs = 0, twins = 0;
  for (const VideoTruth& video : truth.videos) {
    for (const Instance& a : video.instances) {
      if (a.cls != cliff) continue;
      ++cliffs;
      for (const Instance& b : video.instances) {
        if (b.cls == diving && b.segment == a.segment) {
          ++twins;
          break;
        }
      }
    }
  }
  CHECK(cliffs > 0);
  CHECK(twins == cliffs);
  const TempDir dir;
  write_wtalc(dir.path("copy"), truth);
  const GroundTruth copy = read_ground_truth(dir.path("copy"));
  CHECK(copy.classes == truth.classes);
  REQUIRE(copy.videos.size() == truth.videos.size());
  for (std::size_t v = 0; v < copy.videos.size(); ++v) {
    CHECK(copy.videos[v].id == truth.videos[v].id);
    CHECK(copy.videos[v].subset == truth.videos[v].subset);
    CHECK(copy.videos[v].duration == truth.videos[v].duration);
    CHECK(copy.videos[v].instances == truth.videos[v].instances);
    CHECK(copy.videos[v].labels == truth.videos[v].labels);
    CHECK(copy.videos[v].ambiguous == truth.videos[v].ambiguous);
  }
}

TEST_CASE("datasets: the published BaS-Net folder") {
  const std::string root = real_data();
  if (root.empty()) return;
  const auto document = facts();
  std::vector<std::string> notes;
  const GroundTruth truth = read_ground_truth(root + "/basnet_thumos14", &notes);
  CHECK(notes.empty());
  CHECK(truth.classes == thumos14_classes());
  for (const char* subset : {"train", "test"}) {
    const auto expected = document.root()["basnet"]["subsets"][subset];
    const GroundTruth part = truth.only(subset);
    CHECK(static_cast<std::int64_t>(part.videos.size()) == expected["videos"].integer());
    CHECK(static_cast<std::int64_t>(part.instance_count()) == expected["instances"].integer());
    double starts = 0, ends = 0;
    for (const VideoTruth& video : part.videos) {
      for (const Instance& instance : video.instances) {
        starts += instance.segment.start;
        ends += instance.segment.end;
      }
    }
    CHECK(starts == expected["start_sum"].number());
    CHECK(ends == expected["end_sum"].number());
  }
  for (const char* id : basnet_excluded) CHECK_FALSE(truth.index().contains(id));
  CHECK(find_subsets(truth).train == "train");
}

TEST_CASE("datasets: a W-TALC folder with joint features and CLIP files") {
  const TempDir dir;
  write_wtalc(dir.path("Small-Annotations"), small_truth());
  write_joint(dir);
  write_clip(dir);
  const Dataset data(find_dataset(dir.path("")));
  CHECK(data.size() == 4);
  CHECK(data.i3d_columns() == 8);
  CHECK(data.clip_columns() == 3);
  for (std::size_t v = 0; v < 4; ++v) {
    CHECK(data.rows(v) == kRows[v]);
    check_rows(data, v, static_cast<std::int64_t>(v));
    check_rows(data, v, static_cast<std::int64_t>(v));  // from the cache
  }
  CHECK(has_note(data, "1 video has no label: video_test_2"));
  CHECK(has_note(data, "2 videos have labels that differ"));
  CHECK(has_note(data, "1 segments run past"));
  const SubsetSource test(data, find_subsets(data.truth()).test);
  CHECK(test.size() == 2);
  CHECK(test.truth().videos[0].ambiguous == std::vector<Segment>{{0.5, 0.75}});
  check_rows(test, 1, 3);
  CHECK(contains(error_of([&] { SubsetSource(data, "tests"); }), "did you mean \"test\"?"));
  const Batch<float> batch = make_batch<float>(test, {{0, 0, 2}, {1, 1, 3}});
  CHECK(batch.i3d.shape() == Shape{2, 3, 8});
  CHECK(batch.i3d.at({1, 0, 0}) == 3001.0f);
}

TEST_CASE("datasets: folders of files, joint or as rgb and flow, with and without subset folders") {
  const GroundTruth truth = small_truth();
  for (int layout = 0; layout < 4; ++layout) {
    CAPTURE(layout);
    const TempDir dir;
    write_wtalc(dir.path("Small-Annotations"), truth);
    write_clip(dir);
    for (std::size_t v = 0; v < 4; ++v) {
      const auto i = static_cast<std::int64_t>(v);
      std::string folder = dir.path("features");
      if (layout % 2 == 1) folder += truth.videos[v].subset == "test" ? "/test" : "/train";
      const std::string name = (layout == 0 ? "v_" : "") + truth.videos[v].id + ".npy";
      if (layout < 2) {
        io::make_directories(folder);
        io::save_npy(folder + "/" + name, rows_of(i, kRows[v], 8));
      } else {
        io::make_directories(folder + "/rgb");
        io::make_directories(folder + "/flow");
        io::save_npy(folder + "/rgb/" + name, rows_of(i, kRows[v], 4));
        io::save_npy(folder + "/flow/" + name, rows_of<double>(i, kRows[v], 4, 4));
      }
    }
    const Dataset data(find_dataset(dir.path("")));
    for (std::size_t v = 0; v < 4; ++v) check_rows(data, v, static_cast<std::int64_t>(v));
  }
}

TEST_CASE("datasets: the BaS-Net layout, strings for times, split lists with carriage returns") {
  const TempDir dir;
  io::write_text(dir.path("gt.json"),
                 R"({"database": {"a": {"subset": "train", "annotations": [
                    {"segment": ["1.5", "2.5"], "label": "Diving"}]},
                  "b": {"subset": "test", "annotations": [{"segment": [0.5, 1], "label": "Archery"}]},
                  "video_test_0000270": {"subset": "test", "annotations": []},
                  "c": {"subset": "test", "annotations": []}}})");
  io::write_text(dir.path("split_train.txt"), "a\r\n");
  io::write_text(dir.path("split_test.txt"), "b\r\n\r\n");
  std::vector<std::string> notes;
  const GroundTruth truth = read_ground_truth(dir.path(""), &notes);
  REQUIRE(truth.videos.size() == 2);
  CHECK(truth.videos[0].instances[0].segment == Segment{1.5, 2.5});
  CHECK(truth.classes == std::vector<std::string>{"Archery", "Diving"});
  REQUIRE(notes.size() == 2);
  CHECK(contains(notes[0], "video_test_0000270 is left out"));
  CHECK(contains(notes[1], "1 videos of"));
  io::write_text(dir.path("split_test.txt"), "zzz\n");
  CHECK(contains(error_of([&] { read_ground_truth(dir.path("")); }), "the video zzz is not in"));
}

TEST_CASE("datasets: rows that differ a little are trimmed, rows that differ much are an error") {
  const TempDir dir;
  write_wtalc(dir.path("A"), small_truth());
  write_joint(dir);
  write_clip(dir, 2);
  const Dataset data(find_dataset(dir.path("")));
  CHECK(has_note(data, "4 videos have a few more rows"));
  for (std::size_t v = 0; v < 4; ++v) check_rows(data, v, static_cast<std::int64_t>(v));
  write_clip(dir, 5);
  CHECK(contains(error_of([&] { Dataset again(find_dataset(dir.path(""))); }),
                 "video_validation_1 has 10 I3D rows and 15 CLIP rows"));
}

TEST_CASE("datasets: missing, misshapen and poisoned features") {
  const TempDir dir;
  write_wtalc(dir.path("A"), small_truth());
  write_joint(dir);
  write_clip(dir);
  const auto open = [&](bool allow_missing) {
    DatasetOptions options;
    options.allow_missing = allow_missing;
    return error_of([&] { Dataset data(find_dataset(dir.path(""), options)); });
  };
  CHECK(open(false) == "no error");
  ::unlink(dir.path("clip/video_test_1.npy").c_str());
  CHECK(contains(open(false), "1 of 4 videos have no features: video_test_1 (CLIP); looked in"));
  {
    DatasetOptions options;
    options.allow_missing = true;
    const Dataset data(find_dataset(dir.path(""), options));
    CHECK(data.size() == 3);
    check_rows(data, 2, 3);
    CHECK(has_note(data, "they are left out"));
  }
  io::save_npy(dir.path("clip/video_test_1.npy"), rows_of(2, 2, 4));
  CHECK(contains(open(false), "has 4 columns, the videos before it 3"));
  io::save_npy(dir.path("clip/video_test_1.npy"), zeros<float>({6}));
  CHECK(contains(open(false), "expected features of shape (rows, columns), found shape (6,)"));
  io::save_npy(dir.path("clip/video_test_1.npy"), zeros<bool>({2, 3}));
  CHECK(contains(open(false), "expected numbers, found bool"));
  io::write_text(dir.path("clip/video_test_1.npy"), "nonsense");
  CHECK(contains(open(false), "this is not an npy file"));
  Tensor<float> poisoned = rows_of(2, 2, 3);
  poisoned.set({1, 2}, std::numeric_limits<float>::quiet_NaN());
  io::save_npy(dir.path("clip/video_test_1.npy"), poisoned);
  const Dataset data(find_dataset(dir.path("")));
  CHECK(contains(error_of([&] { data.clip(2); }), "row 1, column 2 is not a finite number"));
  io::save_npy_objects<float>(dir.path("Small-I3D-JOINTFeatures.npy"), {rows_of(0, 2, 8)});
  CHECK(contains(open(false),
                 "expected 4 arrays (rows, columns), one per annotated video, found shape (1,)"));
  ::unlink(dir.path("Small-I3D-JOINTFeatures.npy").c_str());
  CHECK(contains(open(false), "holds no I3D features"));
}

TEST_CASE("datasets: the rows of one file") {
  const TempDir dir;
  const std::string path = dir.path("rows.npy");
  const auto refusal = [&] { return error_of([&] { read_rows(path); }); };
  io::save_npy(path, rows_of(3, 2, 4));
  const Tensor<float> rows = read_rows(path);
  REQUIRE(rows.shape() == Shape{2, 4});
  for (std::int64_t i = 0; i < rows.numel(); ++i)
    CHECK(rows.data()[i] == rows_of(3, 2, 4).data()[i]);
  io::save_npy(path, zeros<float>({6}));
  CHECK(contains(refusal(), "expected features of shape (rows, columns), found shape (6,)"));
  Tensor<float> poisoned = rows_of(2, 2, 3);
  poisoned.set({1, 0}, std::numeric_limits<float>::infinity());
  io::save_npy(path, poisoned);
  CHECK(contains(refusal(), "row 1, column 0 is not a finite number"));
  CHECK(contains(error_of([&] { read_rows(dir.path("none.npy")); }), "none.npy"));
}

TEST_CASE("datasets: annotation folders that contradict themselves") {
  const TempDir dir;
  const std::string folder = dir.path("A");
  const auto read = [&] { return error_of([&] { read_wtalc(folder); }); };
  const auto put = [&](const char* name, const char* json) {
    write_wtalc(folder, small_truth());
    io::save_npy_objects(folder + "/" + name, io::parse_json(json));
    return read();
  };
  write_wtalc(folder, small_truth());
  CHECK(read() == "no error");
  CHECK(contains(put("segments.npy", "[[[0,1],[0,1]],[[1,9]],[[0,1]]]"),
                 "expected 4 lists, one per video"));
  CHECK(contains(
      put("segments.npy", "[[[0,1]],[[1,9]],[[0,1]],[[0,1]]]"),
      "labels.npy: video_validation_1: expected one label for each of 1 segments, found 2"));
  CHECK(contains(put("segments.npy", "[[[0,1],[0]],[[1,9]],[[0,1]],[[0,1]]]"),
                 "video_validation_1: segment 1 is not a pair of times"));
  CHECK(contains(put("segments.npy", "[[[0,1],[0,\"x\"]],[[1,9]],[[0,1]],[[0,1]]]"),
                 "segment 1 is not a pair of times"));
  CHECK(contains(put("segments.npy", "[1,[[1,9]],[[0,1]],[[0,1]]]"),
                 "expected a list, found an integer"));
  CHECK(
      contains(put("labels.npy", "[[\"Diving\",\"Divng\"],[\"Diving\"],[\"Diving\"],[\"Diving\"]]"),
               "the class Divng is not in classlist.npy; did you mean \"Diving\"?"));
  CHECK(
      contains(put("labels_all.npy", "[[],[3],[],[]]"), "expected a class name, found an integer"));
  write_wtalc(folder, small_truth());
  io::save_npy_strings(folder + "/subset.npy", {"test"});
  CHECK(contains(read(), "expected 4 names, one per video, found 1"));
  write_wtalc(folder, small_truth());
  io::save_npy_strings(folder + "/videoname.npy", {"a", "b", "a", "c"});
  CHECK(contains(read(), "the video a appears twice"));
  write_wtalc(folder, small_truth());
  io::save_npy(folder + "/duration.npy", from_vector<double>(std::vector<double>{1, 2, -3, 4}));
  CHECK(contains(read(), "video_test_1: the duration is not a length of time"));
  // Optional files.
  write_wtalc(folder, small_truth());
  for (const char* name : {"/duration.npy", "/labels_all.npy", "/Ambiguous_test.txt"}) {
    ::unlink((folder + name).c_str());
  }
  const GroundTruth truth = read_wtalc(folder);
  CHECK(truth.videos[1].labels == std::vector<int>{1});
  CHECK(truth.videos[0].duration == 0);
  CHECK(contains(error_of([&] { read_ground_truth(dir.path("none")); }), "No such file"));
  io::make_directories(dir.path("empty"));
  CHECK(contains(error_of([&] { read_ground_truth(dir.path("empty")); }),
                 "neither gt.json nor W-TALC"));
}
