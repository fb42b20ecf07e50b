#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <string_view>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/io/video.hpp"
#include "write_video.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

/// A frame without its pixels, of which the hash is kept.
struct Seen {
  std::int64_t index = -1;
  double seconds = 0, source_seconds = 0;
  std::uint64_t hash = 0;

  explicit Seen(const io::VideoFrame& frame)
      : index(frame.index), seconds(frame.seconds), source_seconds(frame.source_seconds),
        hash(std::hash<std::string_view>{}({reinterpret_cast<const char*>(frame.rgb.data()),
                                            static_cast<std::size_t>(frame.rgb.numel())})) {}
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> read_all(const std::string& path, const io::VideoOptions& options = {}) {
  std::vector<Seen> all;
  io::VideoReader reader(path, options);
  io::VideoFrame frame;
  while (reader.next(frame)) all.emplace_back(frame);
  return all;
}

bool same(const io::VideoFrame& a, const Seen& b) { return Seen(a) == b; }

/// Every frame by index and by time, in random order, and what next() gives after it.
void check_random_access(const std::string& path, const io::VideoOptions& options = {}, std::size_t most = 400) {
  CAPTURE(path);
  CAPTURE(options.fps);
  const std::vector<Seen> all = read_all(path, options);
  REQUIRE(all.size() > 1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    REQUIRE(all[i].index == static_cast<std::int64_t>(i));
    if (i > 0) REQUIRE(all[i].seconds > all[i - 1].seconds);
  }
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random(7);
  std::shuffle(order.begin(), order.end(), random);
  order.resize(std::min(order.size(), most));
  io::VideoReader reader(path, options);
  int wrong = 0;
  io::VideoFrame following;
  for (const std::size_t i : order) {
    if (!same(reader.at_index(static_cast<std::int64_t>(i)), all[i])) ++wrong;
    const bool more = reader.next(following);
    if (more != (i + 1 < all.size()) || (more && !same(following, all[i + 1]))) ++wrong;
    if (!same(reader.at_time(all[i].seconds), all[i])) ++wrong;
    // Between two frames, a little before and after the middle.
    if (i + 1 < all.size()) {
      const double middle = (all[i].seconds + all[i + 1].seconds) / 2;
      if (!same(reader.at_time(middle - 1e-6), all[i])) ++wrong;
      if (!same(reader.at_time(middle + 1e-6), all[i + 1])) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(same(reader.at_time(-5), all.front()));
  CHECK(same(reader.at_time(1e7), all.back()));
  reader.rewind();
  REQUIRE(reader.next(following));
  CHECK(same(following, all.front()));
  CHECK(reader.count_frames() == static_cast<std::int64_t>(all.size()));
  CHECK(contains(error_of([&] { reader.at_index(static_cast<std::int64_t>(all.size())); }),
                 concat("frame ", all.size(), " was asked for, the video has ", all.size(), " frames")));
  CHECK(same(reader.at_index(1), all[1]));  // an error leaves the reader usable
}

}  // namespace

TEST_CASE("video: every frame in random order is the one that reading in order gives") {
  const TempDir dir;
  const auto uneven = [](int i) { return std::int64_t{40} * i + (i % 5 == 2 ? 13 : 0) + (i > 20 ? 700 : 0); };
  struct Case {
    const char* file;
    ClipSpec spec;
  };
  std::vector<Case> cases = {
      {"b_frames.mp4", {}},
      {"uneven.mkv", {.time = uneven}},
      {"uneven.mp4", {.time = uneven}},
      {"b_frames.avi", {}},
      {"no_b_frames.avi", {.b_frames = 0}},
      {"open_gop.ts", {.encoder = "mpeg2video"}},
      {"late.mkv", {.time = [](int i) { return std::int64_t{40} * i + 400; }}},
      {"raw.m4v", {.b_frames = 0}},
      {"intra.mov", {.encoder = "mjpeg", .format = AV_PIX_FMT_YUVJ420P, .gop = 1, .b_frames = 0}},
  };
  if (has_encoder("libx264")) {
    cases.push_back({"h264.mp4", {.encoder = "libx264", .options = "preset=veryfast"}});
    cases.push_back({"h264_open_gop.mkv",
                     {.encoder = "libx264", .frames = 60, .gop = 10, .b_frames = 3,
                      .options = "preset=veryfast:x264-params=open-gop=1:bf=3:b-adapt=0:b-pyramid=normal"}});
    cases.push_back({"h264_refresh.mkv",
                     {.encoder = "libx264", .frames = 60, .gop = 10, .b_frames = 0,
                      .options = "preset=veryfast:intra-refresh=1"}});
    cases.push_back({"h264.avi", {.encoder = "libx264", .options = "preset=veryfast"}});
  } else {
    MESSAGE("skipped: this FFmpeg has no libx264");
  }
  for (const Case& c : cases) {
    const std::string path = dir.path(c.file);
    write_clip(path, c.spec);
    check_random_access(path);
    check_random_access(path, {.fps = 15, .threads = 1}, 12);
    check_random_access(path, {.fps = 60, .resampling = io::Resampling::ffmpeg}, 12);
  }
}

TEST_CASE("video: random access in published clips, damaged ones included") {
  for (const char* name : {"decode_golden/var_fps_video.mp4", "decode_golden/h265_video.mp4",
                           "decode_golden/h264_10bits.mp4", "decode_golden/av1_video.mkv",
                           "robustness/decord_unordered.mov", "robustness/decord_corrupted.mp4",
                           "labelled/mmaction2_demo.mp4", "labelled/v_ApplyEyeMakeup_g01_c01.avi"}) {
    const std::string path = test_data(concat("video/", name));
    if (path.empty()) return;
    check_random_access(path, {}, 12);
    check_random_access(path, {.fps = 25}, 6);
  }
}
