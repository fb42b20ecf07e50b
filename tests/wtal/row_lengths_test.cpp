/// How long a row is, who says so, and whether the annotation agrees.

#include "tandem/wtal/data/row_lengths.hpp"

#include <doctest/doctest.h>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "tandem/io/json.hpp"
#include "tandem/wtal/detect/evaluation.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace tandem_test;

namespace {

/// Videos v0, v1 … of these durations, each with a segment that ends shortly before.
GroundTruth videos(const std::vector<double>& durations, bool annotated = true) {
  GroundTruth truth;
  truth.classes = {"Run"};
  for (std::size_t v = 0; v < durations.size(); ++v) {
    VideoTruth video{
        .id = concat("v", v), .subset = "train", .duration = annotated ? durations[v] : 0};
    video.instances = {{{0.5, 0.9 * durations[v]}, 0}};
    video.labels = {0};
    truth.videos.push_back(std::move(video));
  }
  return truth;
}

void write_provenance(const TempDir& dir, const std::string& id, const std::string& json) {
  io::make_directories(dir.path("provenance"));
  io::write_text(dir.path("provenance/" + id + ".json"), json);
}

std::vector<std::string> check(const GroundTruth& truth, const std::vector<std::int64_t>& rows,
                               double seconds) {
  RowLengths lengths;
  lengths.seconds.assign(rows.size(), seconds);
  std::vector<std::string> notes;
  check_row_lengths(truth, rows, lengths, notes);
  return notes;
}

}  // namespace

TEST_CASE("row_lengths: the provenance, else the option, else the convention") {
  const TempDir dir;
  const GroundTruth truth = videos({24, 24});
  const std::vector<std::int64_t> rows{74, 74};
  const std::vector<std::string> features{dir.path("features"), dir.path("clip")};
  RowLengths found = find_row_lengths(truth, rows, features);
  CHECK(found.seconds == std::vector<double>{0.64, 0.64});
  CHECK(
      found.description() ==
      "rows of 0.64 s, the field's convention: 16 frames at 25 per second; nothing says otherwise");
  found = find_row_lengths(truth, rows, features, 0.32);
  CHECK(found.uniform() == 0.32);
  CHECK(found.description() == "rows of 0.32 s, as --seconds-per-row says");
  write_provenance(dir, "v0",
                   R"({"seconds_per_row": 0.32, "rows": 74, "video": {"seconds": 24.0}})");
  write_provenance(dir, "v_v1", R"({"seconds_per_row": 0.32, "rows": 73, "random_weights": true})");
  found = find_row_lengths(truth, rows, features);
  CHECK(found.seconds == std::vector<double>{0.32, 0.32});
  CHECK(found.source == RowLengthSource::provenance);
  CHECK(found.random_weights);
  CHECK(find_row_lengths(truth, rows, features, 0.3201).uniform() == 0.32);  // as somebody types it
  // The videos' own rates: every row length is its video's.
  write_provenance(dir, "v_v1", R"({"seconds_per_row": 0.4})");
  found = find_row_lengths(truth, rows, features);
  CHECK(found.seconds == std::vector<double>{0.32, 0.4});
  CHECK(found.uniform() == 0);
  CHECK(contains(found.description(), "rows of 0.32 to 0.4 s, as extract_features wrote"));
}

TEST_CASE("row_lengths: contradictions name both sides") {
  const TempDir dir;
  const GroundTruth truth = videos({24, 24});
  const std::vector<std::int64_t> rows{74, 74};
  const std::vector<std::string> features{dir.path("features")};
  const auto error = [&](double given) {
    return error_of([&] { find_row_lengths(truth, rows, features, given); });
  };
  write_provenance(dir, "v0", R"({"seconds_per_row": 0.32})");
  CHECK(contains(error(0.64),
                 "provenance/v0.json says that a row lasts 0.32 s, --seconds-per-row says 0.64 s"));
  CHECK(contains(error(0),
                 "provenance/v0.json says how long a row is, for 1 videos nothing does (v1)"));
  CHECK(error(0.32) == "no error");
  write_provenance(dir, "v0", R"({"seconds_per_row": 0.64})");
  CHECK(error(0) == "no error");  // what the others are taken to have
  write_provenance(dir, "v0", R"({"seconds_per_row": 0.64, "rows": 37})");
  CHECK(contains(error(0), "describes 37 rows, the features of video v0 have 74"));
  for (const char* bad : {"", "{", "{}", R"({"seconds_per_row": 0})", R"({"seconds_per_row": -1})",
                          R"({"seconds_per_row": "x"})"}) {
    CAPTURE(bad);
    write_provenance(dir, "v0", bad);
    CHECK(contains(error(0), "provenance/v0.json"));
  }
  CHECK(contains(error_of([&] { find_row_lengths(truth, rows, {}, -1); }),
                 "a row lasts longer than 0 seconds"));
  // I3D and CLIP rows of different steps.
  io::make_directories(dir.path("clip/provenance"));
  write_provenance(dir, "v0", R"({"seconds_per_row": 0.32})");
  io::write_text(dir.path("clip/provenance/v0.json"), R"({"seconds_per_row": 0.64})");
  CHECK(contains(error_of([&] {
                   find_row_lengths(truth, rows, {dir.path("features"), dir.path("clip")});
                 }),
                 "I3D and CLIP rows must be of the same frames"));
}

TEST_CASE("row_lengths: rows × seconds against the annotated durations") {
  const std::vector<double> durations{24, 30.5, 61, 18.2, 45};
  std::vector<std::int64_t> rows, twice;
  for (const double d : durations) {
    rows.push_back(static_cast<std::int64_t>(d / 0.64));
    twice.push_back(static_cast<std::int64_t>((d * 25 - 16) / 8) + 1);  // --step 8
  }
  CHECK(check(videos(durations), rows, 0.64).empty());
  CHECK(check(videos(durations), twice, 0.32).empty());
  const std::string message = error_of([&] { check(videos(durations), twice, 0.64); });
  CHECK(contains(message, "5 of 5 videos have features that last 1.9"));
  CHECK(contains(message, "v0: 74 rows of 0.64 s are 47.36 s, the annotation says 24 s"));
  CHECK(contains(message, "the field's convention"));
  CHECK(contains(message, "--seconds-per-row"));
  CHECK(contains(message, "s a row they would agree"));
  for (const double factor : {0.5, 0.8, 1.25, 25.0}) {  // also other rates, and durations in frames
    CAPTURE(factor);
    CHECK(contains(error_of([&] { check(videos(durations), rows, 0.64 * factor); }),
                   "times as long as"));
  }
  // One video that is wrong is nothing systematic, nor are several by their own factors; they are
  // noted.
  std::vector<double> one = durations;
  one[2] *= 3;
  CHECK(check(videos(one), rows, 0.64).empty());
  std::vector<double> mixed = durations;
  for (std::size_t v = 0; v < 4; ++v)
    mixed[v] *=
        v % 2 == 0 ? 2.0 + static_cast<double>(v) : 0.3 * (1 + 0.3 * static_cast<double>(v));
  const std::vector<std::string> notes = check(videos(mixed), rows, 0.64);
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "4 of 5 videos have features that are longer or shorter"));
  // Without durations the last segments must lie inside.
  CHECK(check(videos(durations, false), rows, 0.64).empty());
  CHECK(contains(error_of([&] { check(videos(durations, false), rows, 0.32); }),
                 "5 of 5 videos have segments behind the end of their features; v0: 37 rows of "
                 "0.32 s are 11.84 s, its "
                 "last segment ends at 21.6 s"));
  const std::vector<double> many(12, 24.0);
  const std::vector<std::string> far =
      check(videos(many, false), std::vector<std::int64_t>(12, 74), 0.64);
  REQUIRE(far.size() == 1);
  CHECK(contains(far[0], "no segment reaches beyond 46 % of its video's rows"));
}

TEST_CASE("row_lengths: one subset against its durations") {
  // 12 training videos that fit and 5 test videos with features of --step 8.
  std::vector<double> durations(17, 0);
  std::vector<std::int64_t> rows;
  for (std::size_t v = 0; v < durations.size(); ++v) {
    durations[v] = 20 + 3 * static_cast<double>(v);
    rows.push_back(static_cast<std::int64_t>(durations[v] / (v < 12 ? 0.64 : 0.32)));
  }
  const auto with = [&](bool annotated, std::size_t wrong) {
    GroundTruth truth = videos(durations, annotated);
    for (std::size_t v = 12; v < durations.size(); ++v) truth.videos[v].subset = "test";
    std::vector<std::int64_t> given = rows;
    for (std::size_t v = 12 + wrong; v < durations.size(); ++v) given[v] /= 2;
    return error_of([&] { check(truth, given, 0.64); });
  };
  const std::string message = with(true, 5);
  CHECK(contains(message, "5 of 5 'test' videos have features that last 1.99"));
  CHECK(contains(message, "v12: 175 rows of 0.64 s are 112 s, the annotation says 56 s"));
  CHECK(contains(message, "--seconds-per-row"));
  CHECK(contains(with(true, 3), "3 of 5 'test' videos"));
  CHECK(with(true, 2) == "no error");   // fewer than half
  CHECK(with(false, 5) == "no error");  // longer than the last segment: nothing contradicts
  for (std::size_t v = 12; v < durations.size(); ++v) rows[v] /= 4;
  CHECK(contains(with(false, 5), "5 of 5 'test' videos have segments behind the end"));
  // The option does not silence it: of all rows alike it can be right for one subset only.
  CHECK(contains(error_of([&] {
                   GroundTruth truth = videos(durations);
                   for (std::size_t v = 0; v < 12; ++v) truth.videos[v].subset = "test";
                   check(truth, rows, 0.64);
                 }),
                 "5 of 5 'train' videos"));
  // A subset of one video is nothing systematic.
  GroundTruth single = videos({24, 30, 36});
  single.videos[2].subset = "test";
  CHECK(check(single, {37, 46, 112}, 0.64).size() == 1);
}

TEST_CASE("row_lengths: index units of rows of another length") {
  GroundTruth truth;
  truth.classes = {"Run"};
  truth.videos = {{.id = "v", .subset = "test", .instances = {{{0.32, 0.64}, 0}}, .labels = {0}}};
  DetectionSet detected{{"Run"}, {{"v", {{{0.32, 0.64}, 0, 1.0}}}}};
  EvaluationOptions options{.protocol = Protocol::thumos_index};
  // Rows of 0.64 s: [0.5, 1) → [0, 1), which the detection [0.5, 1) half covers.
  Evaluation e = evaluate(truth, detected, options);
  CHECK(e.map[4] == 1);
  CHECK(e.map[5] == 0);
  options.seconds_per_row = 0.32;
  e = evaluate(truth, detected, options);
  CHECK(e.map[8] == 1);
  options.seconds_per_row = 0;
  CHECK(contains(error_of([&] { evaluate(truth, detected, options); }),
                 "a row lasts longer than 0 seconds"));
}
