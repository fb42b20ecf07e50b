#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <random>
#include <string_view>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/image/video.hpp"
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
      : index(frame.index),
        seconds(frame.seconds),
        source_seconds(frame.source_seconds),
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

/// Every frame by index and by time, in random order, and what next() gives after it; then the same
/// index as the first call of a new reader, for `fresh` of them. Returns the number of frames.
std::size_t check_random_access(const std::string& path, const io::VideoOptions& options = {},
                                std::size_t most = 400, std::size_t fresh = 4) {
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
  std::size_t tried = 0;
  for (const std::size_t i : order) {
    if (!same(reader.at_index(static_cast<std::int64_t>(i)), all[i])) ++wrong;
    const bool more = reader.next(following);
    if (more != (i + 1 < all.size()) || (more && !same(following, all[i + 1]))) ++wrong;
    if (++tried > 100) continue;
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
  CHECK(contains(
      error_of([&] { reader.at_index(static_cast<std::int64_t>(all.size())); }),
      concat("frame ", all.size(), " was asked for, the video has ", all.size(), " frames")));
  CHECK_FALSE(reader.next(following));
  CHECK(same(reader.at_index(1), all[1]));  // an error leaves the reader usable
  wrong = 0;
  for (std::size_t k = 0; k < std::min(fresh, order.size()); ++k) {
    const std::size_t i = order[k];
    io::VideoReader one(path, options);
    if (!same(one.at_index(static_cast<std::int64_t>(i)), all[i])) ++wrong;
    const bool more = one.next(following);
    if (more != (i + 1 < all.size()) || (more && !same(following, all[i + 1]))) ++wrong;
    io::VideoReader other(path, options);
    if (!same(other.at_time(all[i].seconds), all[i])) ++wrong;
  }
  if (fresh < 2) {
    CHECK(wrong == 0);
    return all.size();
  }
  // After next() has gone far, back and forth across where it was.
  io::VideoReader gone(path, options);
  for (std::size_t i = 0; i < 2 * all.size() / 3; ++i) REQUIRE(gone.next(following));
  for (const std::size_t i : {all.size() / 3, all.size() - 1, std::size_t{0}, all.size() / 2}) {
    if (!same(gone.at_index(static_cast<std::int64_t>(i)), all[i])) ++wrong;
    const bool more = gone.next(following);
    if (more != (i + 1 < all.size()) || (more && !same(following, all[i + 1]))) ++wrong;
  }
  CHECK(wrong == 0);
  io::VideoReader beyond(path, options);
  CHECK(contains(error_of([&] { beyond.at_index(static_cast<std::int64_t>(all.size())); }),
                 " was asked for, the video has "));
  CHECK(same(beyond.at_index(0), all[0]));
  return all.size();
}

}  // namespace

TEST_CASE("video: every frame in random order is the one that reading in order gives") {
  const TempDir dir;
  const auto uneven = [](int i) {
    return std::int64_t{40} * i + (i % 5 == 2 ? 13 : 0) + (i > 20 ? 700 : 0);
  };
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
    cases.push_back(
        {"h264_open_gop.mkv",
         {.encoder = "libx264",
          .frames = 60,
          .gop = 10,
          .b_frames = 3,
          .options = "preset=veryfast:x264-params=open-gop=1:bf=3:b-adapt=0:b-pyramid=normal"}});
    cases.push_back({"h264_refresh.mkv",
                     {.encoder = "libx264",
                      .frames = 60,
                      .gop = 10,
                      .b_frames = 0,
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

// A packet is not a frame: what the file announces is not what next() gives.
TEST_CASE("video: frames by index where packets code no frame, are damaged, empty or lost") {
  const TempDir dir;
  struct Case {
    const char* file;
    ClipSpec spec;
    std::size_t frames;  // 0: whatever the decoder makes of it
  };
  const auto none = [](int bits, std::vector<int> which) {
    return [=](int k, AVPacket& packet) {
      if (std::find(which.begin(), which.end(), k) != which.end()) not_coded(packet, bits);
      return true;
    };
  };
  const auto lost = [](int k, AVPacket&) { return k != 7 && k != 29; };
  const auto empty = [](int k, AVPacket& packet) {
    if (k == 7 || k == 30) set_bytes(packet, {});
    return true;
  };
  const auto garbage = [](int k, AVPacket& packet) {
    if (k == 5 || k == 31) std::memset(packet.data, 0x55, static_cast<std::size_t>(packet.size));
    return true;
  };
  const auto scratched = [](int k, AVPacket& packet) {
    if (k % 9 != 4) return true;
    for (int i = packet.size / 2; i < packet.size; i += 3)
      packet.data[i] = static_cast<std::uint8_t>(packet.data[i] ^ 0xA5);
    return true;
  };
  const auto uneven = [](int i) { return std::int64_t{40} * i + (i > 20 ? 400 : 0); };
  std::vector<Case> cases = {
      {"not_coded.avi", {.frames = 60, .b_frames = 0, .edit = none(5, {7})}, 59},
      {"not_coded_twice.avi", {.frames = 60, .b_frames = 0, .edit = none(5, {7, 30})}, 58},
      {"not_coded.mkv", {.frames = 60, .b_frames = 0, .edit = none(10, {7, 30})}, 58},
      {"not_coded.mp4", {.frames = 60, .b_frames = 0, .edit = none(10, {7, 30})}, 58},
      {"first_not_coded.mkv", {.frames = 60, .b_frames = 0, .edit = none(10, {0})}, 0},
      {"not_coded_between.avi", {.frames = 60, .edit = none(5, {8, 31})}, 0},
      {"empty.avi", {.frames = 60, .b_frames = 0, .edit = empty}, 0},
      {"gap.avi",
       {.frames = 40, .b_frames = 0, .time = uneven},
       0},  // the container fills it with empty packets
      {"lost.mkv", {.frames = 60, .b_frames = 0, .edit = lost}, 58},
      {"scratched.mp4", {.frames = 60, .edit = scratched}, 0},
      {"garbage.mkv", {.frames = 60, .b_frames = 0, .edit = garbage}, 0},
      {"still.mkv", {.frames = 60, .gop = 5, .picture = [](int) { return 3; }}, 60},
      {"still.avi",
       {.frames = 60,
        .gop = 5,
        .b_frames = 0,
        .picture = [](int) { return 3; },
        .edit = none(5, {7})},
       59},
      {"returns.avi",
       {.encoder = "mjpeg",
        .format = AV_PIX_FMT_YUVJ420P,
        .gop = 1,
        .b_frames = 0,
        .picture = [](int i) { return i % 7; },
        .edit = empty},
       38},
  };
  if (has_encoder("libx264")) {
    const char* options = "preset=veryfast";
    cases.push_back({"garbage.mp4",
                     {.encoder = "libx264", .frames = 60, .options = options, .edit = garbage},
                     0});
    cases.push_back({"scratched_h264.mkv",
                     {.encoder = "libx264", .frames = 60, .options = options, .edit = scratched},
                     0});
    cases.push_back(
        {"lost.mp4", {.encoder = "libx264", .frames = 60, .options = options, .edit = lost}, 0});
  }
  if (has_encoder("libvpx")) {  // pictures that are only predicted from
    cases.push_back({"hidden.webm",
                     {.encoder = "libvpx",
                      .frames = 60,
                      .b_frames = 0,
                      .options = "auto-alt-ref=1:lag-in-frames=16:deadline=good:cpu-used=5"},
                     60});
  }
  for (Case& c : cases) {
    const std::string path = dir.path(c.file);
    write_clip(path, c.spec);
    const std::size_t frames = check_random_access(path, {}, 400, 400);
    if (c.frames > 0) CHECK_MESSAGE(frames == c.frames, c.file);
    check_random_access(path, {.fps = 15, .threads = 1}, 12);
    check_random_access(path, {.fps = 60, .resampling = io::Resampling::ffmpeg}, 12);
  }
}

TEST_CASE("video: frames by index in a published clip with a packet that is not coded") {
  const std::string data = test_data("video");
  if (data.empty()) return;
  const std::string path = data + "/../../cases/video/not_coded_packets.avi";
  if (!io::is_file(path)) {
    MESSAGE("skipped: there is no ", path);
    return;
  }
  CHECK(check_random_access(path, {}, 400, 8) == 299);
  check_random_access(path, {.fps = 25}, 20);
}

// All videos of the optional data folder, every 40th of the many small ones; TANDEM_EVERY_FRAME=1
// takes each frame of each.
TEST_CASE("video: frames by index in every published clip") {
  const std::string data = test_data("video");
  if (data.empty()) return;
  const bool all = std::getenv("TANDEM_EVERY_FRAME") != nullptr;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
    const std::string type = entry.path().extension().string();
    if (type == ".mp4" || type == ".avi" || type == ".mkv" || type == ".mov")
      files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() > 15);
  std::size_t small = 0, frames = 0;
  for (const std::string& path : files) {
    if (!all && contains(path, "ucf101_160x120") && small++ % 40 != 0) continue;
    frames += all ? check_random_access(path, {}, 100000, 3) : check_random_access(path, {}, 4, 1);
  }
  MESSAGE("frames: ", frames);
}

TEST_CASE("video: resampled frames by index in published clips, damaged ones included") {
  for (const char* name :
       {"decode_golden/var_fps_video.mp4", "decode_golden/h265_video.mp4",
        "decode_golden/h264_10bits.mp4", "decode_golden/av1_video.mkv",
        "robustness/decord_unordered.mov", "robustness/decord_corrupted.mp4",
        "labelled/mmaction2_demo.mp4", "labelled/v_ApplyEyeMakeup_g01_c01.avi"}) {
    const std::string path = test_data(concat("video/", name));
    if (path.empty()) return;
    check_random_access(path, {.fps = 25}, 4, 0);
  }
}
