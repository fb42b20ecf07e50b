#include "tandem/features/feature_folder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "../io/temp_dir.hpp"
#include "tandem/features/provenance.hpp"

using namespace tandem;
using namespace tandem::wtal;

namespace {

io::Json settings(std::int64_t stack = 16, bool random = false) {
  io::Json out = io::Json::object();
  out["stack"] = stack;
  out["step"] = 16;
  out["fps"] = 25.0;
  out["tail"] = "drop";
  out["last_flow"] = "repeat";
  out["weights"] = io::Json::object();
  out["weights"][random ? "random_seed" : "sha256"] = "abc";
  return out;
}

FolderTask task(const std::string& folder, const std::vector<std::string>& streams,
                const io::Json& how = settings()) {
  FolderTask out{.folder = folder};
  for (const std::string& stream : streams) out.settings[stream] = how;
  return out;
}

Tensor<float> rows(float value, std::int64_t columns) {
  const Tensor<float> out({2, columns});
  for (std::int64_t i = 0; i < out.numel(); ++i)
    out.mutable_data()[i] = value + static_cast<float>(i);
  return out;
}

VideoFeatures features() {
  VideoFeatures out;
  out.rgb = rows(0, 3);
  out.flow = rows(100, 3);
  out.clip = rows(200, 2);
  out.timestamps_ms = {640, 1280};
  out.frames = 40;
  out.fps = 25;
  out.seconds_per_row = 0.64;
  out.seconds = 1.6;
  return out;
}

/// Features of a "video", which is any file, in a folder of its own.
struct Fixture {
  tandem_test::TempDir dir;
  const std::string folder = dir.path("data"), path = dir.path("a.mp4");
  const std::vector<std::string> all{"clip", "flow", "rgb"};

  Fixture() { io::write_text(path, "a video"); }
  FolderVideo video() const { return {.id = "a", .path = path}; }
  FolderVideo planned(const FeatureFolder& out) const {
    FolderVideo one = video();
    const FeatureFolder::Verdict verdict = out.plan(one);
    CHECK(verdict.otherwise == "");
    return one;
  }
  void write(const FeatureFolder& out, const VideoFeatures& f = features()) const {
    FolderVideo one = planned(out);
    one.source = io::record_of({path});
    out.write(one, f);
  }
  std::string in_folder(const std::string& name) const { return io::join_path(folder, name); }
};

std::vector<float> values(const std::string& path) {
  const Tensor<float> array = io::load_npy(path).tensor<float>();
  return {array.data(), array.data() + array.numel()};
}

}  // namespace

TEST_CASE("feature_folder: what is written is where it is said to be, and is read again") {
  const Fixture fixture;
  const FeatureFolder out(task(fixture.folder, fixture.all));
  FolderVideo first = fixture.video();
  CHECK(out.plan(first).note == "");
  CHECK(first.wanted == fixture.all);
  CHECK(first.times);
  fixture.write(out);
  CHECK(values(fixture.in_folder("features/a.npy")) ==
        std::vector<float>{0, 1, 2, 100, 101, 102, 3, 4, 5, 103, 104, 105});
  CHECK(values(fixture.in_folder("clip/a.npy")) == std::vector<float>{200, 201, 202, 203});
  const Tensor<double> times =
      io::load_npy(fixture.in_folder("timestamps/a_timestamps_ms.npy")).tensor<double>();
  REQUIRE(times.shape() == Shape{2});
  CHECK(times.data()[0] == 640);
  CHECK(times.data()[1] == 1280);

  for (const char* below : {"", "/features"}) {
    const auto read = read_provenance(fixture.folder + below, "a");
    REQUIRE(read.has_value());
    CHECK(read->rows == 2);
    CHECK(read->seconds_per_row == 0.64);
    CHECK(read->seconds == 1.6);
    CHECK(!read->random_weights);
  }
  const FolderVideo again = fixture.planned(out);
  CHECK(again.done());
  CHECK(again.kept.size() == 3);
}

TEST_CASE("feature_folder: streams in files of their own, and one stream alone") {
  const Fixture fixture;
  FolderTask apart = task(fixture.folder, fixture.all, settings(16, true));
  apart.separate = true;
  fixture.write(FeatureFolder(apart));
  CHECK(values(fixture.in_folder("features/rgb/a.npy")) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(values(fixture.in_folder("features/flow/a.npy"))[0] == 100);
  CHECK(read_provenance(fixture.folder, "a")->random_weights);

  const Fixture other;
  VideoFeatures only;
  only.timestamps_ms = {640, 1280};
  only.clip = rows(7, 2);
  only.seconds_per_row = 0.64;
  fixture.write(FeatureFolder(apart));  // nothing is wanted: the same once more
  other.write(FeatureFolder(task(other.folder, {"clip"})), only);
  // Another run makes the rest; what is there is kept.
  const FeatureFolder rest(task(other.folder, {"flow", "rgb"}));
  FolderVideo video = other.planned(rest);
  CHECK(video.wanted == std::vector<std::string>{"flow", "rgb"});
  CHECK(video.kept.contains("clip"));
  other.write(rest);
  CHECK(values(other.in_folder("clip/a.npy"))[0] == 7);
  CHECK(other.planned(FeatureFolder(task(other.folder, other.all))).done());
}

TEST_CASE("feature_folder: what is missing, damaged or of other options is found") {
  const Fixture fixture;
  const FeatureFolder out(task(fixture.folder, fixture.all));
  fixture.write(out);
  const std::string joint = fixture.in_folder("features/a.npy");

  FolderVideo video = fixture.video();
  std::string bytes = io::read_text(joint);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  io::write_text(joint, bytes);
  CHECK(out.plan(video).note == "features/a.npy is missing or damaged, and made again");
  CHECK(video.wanted == std::vector<std::string>{"flow", "rgb"});
  fixture.write(out);

  std::filesystem::remove(fixture.in_folder("timestamps/a_timestamps_ms.npy"));
  CHECK(out.plan(video = fixture.video()).note ==
        "timestamps/a_timestamps_ms.npy is missing or damaged, and made again");
  CHECK(video.wanted.empty());
  CHECK(!video.done());
  fixture.write(out);

  // Moved: only the times differ, which are noted at once.
  std::filesystem::copy_file(joint, joint + ".copy");
  std::filesystem::rename(joint + ".copy", joint);
  const std::string noted = io::read_text(out.provenance("a"));
  CHECK(fixture.planned(out).done());
  CHECK(io::read_text(out.provenance("a")) != noted);

  CHECK(FeatureFolder(task(fixture.folder, fixture.all, settings(24))).plan(video).otherwise ==
        "clip has stack 16, not 24");
  CHECK(FeatureFolder(task(fixture.folder, {"rgb"}, settings(16, true))).plan(video).otherwise ==
        "");  // the joint array is not that of RGB alone
  CHECK(video.wanted == std::vector<std::string>{"rgb"});

  FolderTask again = task(fixture.folder, fixture.all);
  again.overwrite = true;
  CHECK(FeatureFolder(again).plan(video).note == "");
  CHECK(video.wanted == fixture.all);

  io::write_text(out.provenance("a"), "{");
  CHECK(out.plan(video).note.find("its provenance cannot be read") == 0);
  CHECK(video.wanted == fixture.all);
  io::write_text(out.provenance("a"), "{\"video\": 1, \"streams\": {}}");
  CHECK(out.plan(video).note.find("its provenance says something else") == 0);
  CHECK(video.wanted == fixture.all);
}

TEST_CASE("feature_folder: another video by the same name") {
  const Fixture fixture;
  const FeatureFolder out(task(fixture.folder, fixture.all));
  fixture.write(out);
  io::write_text(fixture.path, "another video");
  FolderVideo video = fixture.video();
  CHECK(out.plan(video).note == "the file has changed, so its features are made again");
  CHECK(video.wanted == fixture.all);
  CHECK_THROWS_WITH_AS(FeatureFolder(task(fixture.folder, {"clip"})).plan(video),
                       "[extract] the file has changed since its flow, rgb rows were made: name "
                       "flow, rgb in --streams as well, so that all rows are of one video",
                       Error);
  std::filesystem::remove(fixture.path);
  CHECK_THROWS_AS(out.plan(video), Error);
}

TEST_CASE("feature_folder: what is refused leaves the folder as it was") {
  const Fixture fixture;
  const FeatureFolder out(task(fixture.folder, fixture.all));
  fixture.write(out);
  const std::string before = io::read_text(out.provenance("a")),
                    array = io::read_text(fixture.in_folder("features/a.npy"));
  FolderTask again = task(fixture.folder, fixture.all);
  again.overwrite = true;
  const FeatureFolder over(again);
  FolderVideo video = fixture.planned(over);
  video.source = io::record_of({fixture.path});

  VideoFeatures bad = features();
  bad.flow.mutable_data()[4] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(over.write(video, bad),
                       "[extract] the flow rows hold values that are not finite, first in row 1 of "
                       "2; nothing was saved: are the weights whole?",
                       Error);
  io::write_text(fixture.path, "a video, changed while it is read");
  CHECK_THROWS_WITH_AS(over.write(video, features()),
                       "[extract] the video was changed while it was read; nothing was saved",
                       Error);
  io::write_text(fixture.path, "a video");
  video.source = io::record_of({fixture.path});
  video.kept["clip"] = io::Json{{"rows", 3}};
  video.wanted = {"flow", "rgb"};
  CHECK_THROWS_WITH_AS(over.write(video, features()),
                       "[extract] there are 2 rows now, clip has 3; --overwrite with all streams "
                       "makes them again",
                       Error);
  CHECK(io::read_text(out.provenance("a")) == before);
  CHECK(io::read_text(fixture.in_folder("features/a.npy")) == array);
  CHECK_THROWS_AS(FeatureFolder({.folder = fixture.folder}), Error);
}

TEST_CASE("feature_folder: a run that is interrupted leaves no provenance that vouches for it") {
  const Fixture fixture;
  const FeatureFolder out(task(fixture.folder, fixture.all));
  fixture.write(out);
  FolderTask again = task(fixture.folder, fixture.all);
  again.overwrite = true;
  // The time stamps, which are written last, cannot be: a folder has their name.
  const std::string times = fixture.in_folder("timestamps/a_timestamps_ms.npy");
  std::filesystem::remove(times);
  std::filesystem::create_directory(times);
  CHECK_THROWS_AS(fixture.write(FeatureFolder(again)), Error);
  CHECK(!std::filesystem::exists(out.provenance("a")));
  CHECK_THROWS_AS(out.check_writable(fixture.planned(out)), Error);
  std::filesystem::remove(times);
  out.check_writable(fixture.planned(out));
  CHECK(!std::filesystem::exists(times));
}
