/// Annotations and joint features in every form that today's NumPy gives one and the same lists.

#include <doctest/doctest.h>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "tandem/wtal/data/features.hpp"
#include "tandem/wtal/data/wtalc.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace tandem_test;

namespace {

io::JsonDocument cases() {
  return io::JsonDocument::load(TANDEM_SOURCE_DIR "/tests/golden/numpy_lists.json");
}

void write_hex(const std::string& path, const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  io::write_text(path, bytes);
}

/// What generate_numpy_lists.py writes in all these ways.
GroundTruth expected() {
  GroundTruth truth;
  truth.classes = {"Run", "Jump"};
  VideoTruth a{.id = "a",
               .subset = "test",
               .duration = 100,
               .instances = {{{0, 10}, 0}, {{20, 30.5}, 1}},
               .labels = {0, 1}};
  VideoTruth b{.id = "b",
               .subset = "test",
               .duration = 100,
               .instances = {{{5, 15}, 0}, {{40, 41}, 1}},
               .labels = {0, 1}};
  truth.videos = {a, b};
  return truth;
}

void check_equal(const GroundTruth& read, const GroundTruth& truth) {
  CHECK(read.classes == truth.classes);
  REQUIRE(read.videos.size() == truth.videos.size());
  for (std::size_t v = 0; v < read.videos.size(); ++v) {
    CHECK(read.videos[v].id == truth.videos[v].id);
    CHECK(read.videos[v].subset == truth.videos[v].subset);
    CHECK(read.videos[v].duration == truth.videos[v].duration);
    CHECK(read.videos[v].instances == truth.videos[v].instances);
    CHECK(read.videos[v].labels == truth.videos[v].labels);
  }
}

}  // namespace

TEST_CASE("wtalc: the same annotations in every form that NumPy writes") {
  const auto document = cases();
  const auto all = document.root()["annotations"];
  CHECK(all.size() == 15);
  for (const auto& [name, files] : all.members()) {
    CAPTURE(name);
    const TempDir dir;
    write_wtalc(dir.path("A"), expected());
    const auto given = all.of(files);
    for (const auto& [file, digits] : given.members())
      write_hex(dir.path("A/" + file), given.of(digits).string());
    check_equal(read_wtalc(dir.path("A")), expected());
  }
}

TEST_CASE("features: the same rows in every form that NumPy writes") {
  const auto document = cases();
  const auto all = document.root()["features"];
  CHECK(all.size() == 8);
  for (const auto& [name, digits] : all.members()) {
    CAPTURE(name);
    const TempDir dir;
    write_hex(dir.path("x.npy"), all.of(digits).string());
    const FeatureFiles files(dir.path("x.npy"), expected());
    CHECK(files.columns() == 4);
    for (std::size_t v = 0; v < 2; ++v) {
      CHECK(files.rows(v) == 3);
      std::vector<float> rows;
      for (int i = 0; i < 12; ++i)
        rows.push_back(static_cast<float>(100 * static_cast<int>(v) + 10 * (i / 4) + i % 4));
      CHECK(files.read(v).to_vector() == rows);
    }
  }
}

TEST_CASE("wtalc: what would run code, and values that are no lists, are refused by name") {
  const auto document = cases();
  const auto all = document.root()["refused"];
  const auto read = [&](const char* name) {
    const TempDir dir;
    write_wtalc(dir.path("A"), expected());
    write_hex(dir.path("A/segments.npy"), all[name].string());
    return error_of([&] { read_wtalc(dir.path("A")); });
  };
  CHECK(contains(read("code in a scalar's place"), "global builtins.print is not allowed"));
  CHECK(contains(read("a scalar of objects"), "element type '<M8' is not supported"));
  const TempDir dir;
  io::save_npy(dir.path("x.npy"), Tensor<float>(Shape{3, 3, 4}));
  CHECK(contains(error_of([&] { FeatureFiles(dir.path("x.npy"), expected()); }),
                 "expected 2 arrays (rows, columns), one per annotated video, found shape (3, 3, "
                 "4) of float32"));
  io::save_npy(dir.path("x.npy"), Tensor<float>(Shape{2, 0, 4}));
  CHECK(contains(error_of([&] { FeatureFiles(dir.path("x.npy"), expected()); }),
                 "found shape (0, 4)"));
  io::save_npy_objects(dir.path("x.npy"), io::parse_json("[[[1, 2], [3]], [[1, 2]]]"));
  const FeatureFiles ragged(dir.path("x.npy"), expected());
  CHECK(contains(error_of([&] { ragged.read(0); }), "video a, row 1: expected 2 numbers"));
  io::save_npy_objects(dir.path("x.npy"), io::parse_json("[[[1, \"x\"]], [[1, 2]]]"));
  const FeatureFiles text(dir.path("x.npy"), expected());
  CHECK(contains(error_of([&] { text.read(0); }), "row 0, column 1 is not a finite number"));
}

TEST_CASE("wtalc: small folders that were once refused") {
  const std::string root = TANDEM_SOURCE_DIR "/../shared/cases/wtalc";
  if (!io::is_directory(root)) {
    MESSAGE("skipped: there is no folder " << root);
    return;
  }
  for (const char* name : {"np", "npstr", "nparr", "eq", "eqf"}) {
    CAPTURE(name);
    const GroundTruth truth = read_wtalc(root + "/" + name);
    CHECK(truth.classes == std::vector<std::string>{"Run", "Jump"});
    REQUIRE(truth.videos.size() == 2);
    const bool equal = std::string(name).starts_with("eq");
    const std::vector<Instance> two{{{0, 10}, 0}, {{20, 30}, 1}}, one{{{0, 10}, 0}},
        other{{{5, 15}, 0}};
    CHECK(truth.videos[0].instances == (equal ? one : two));
    CHECK(truth.videos[1].instances == other);
    CHECK(truth.videos[0].labels == (equal ? std::vector<int>{0} : std::vector<int>{0, 1}));
    CHECK(truth.videos[1].labels == std::vector<int>{0});
  }
}
