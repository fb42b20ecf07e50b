#include <doctest/doctest.h>

#include "tandem/image/video.hpp"

extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/md5.h>
}

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/io/npy.hpp"
#include "video_frames.hpp"
#include "write_video.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

std::string hex_md5(const std::vector<std::uint8_t>& bytes) {
  std::uint8_t sum[16];
  av_md5_sum(sum, bytes.data(), bytes.size());
  std::string text;
  for (const std::uint8_t byte : sum) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

struct Listed {
  std::int64_t pts;
  std::string md5;
};

/// The frames that a .framemd5 file lists, and its time base.
std::vector<Listed> read_framemd5(const std::string& path, AVRational& base) {
  std::ifstream file(path);
  std::vector<Listed> all;
  for (std::string line; std::getline(file, line);) {
    if (std::sscanf(line.c_str(), "#tb 0: %d/%d", &base.num, &base.den) == 2 ||
        line.starts_with('#'))
      continue;
    long long dts = 0, pts = 0, duration = 0, size = 0;
    char sum[40] = {};
    const int found = std::sscanf(line.c_str(), "0, %lld, %lld, %lld, %lld, %32s", &dts, &pts,
                                  &duration, &size, sum);
    REQUIRE(found == 5);
    all.push_back({pts, sum});
  }
  return all;
}

std::string all_pixels(const std::string& path, const io::VideoOptions& options) {
  io::VideoReader reader(path, options);
  io::VideoFrame frame;
  std::string bytes;
  while (reader.next(frame)) {
    bytes.append(reinterpret_cast<const char*>(frame.rgb.data()),
                 static_cast<std::size_t>(frame.rgb.numel()));
  }
  return bytes;
}

/// Frame by frame against `ffmpeg -pix_fmt rgb24`, where that program is installed.
void check_against_ffmpeg(const std::string& path, const std::string& filter,
                          io::VideoOptions options) {
  CAPTURE(path);
  CAPTURE(filter);
  options.threads = 2;  // damaged pictures depend on it
  const std::string command =
      concat("command -v ffmpeg >/dev/null && ffmpeg -nostdin -v quiet -threads 2 -copyts -i '",
             path, "' -map 0:v:0 ", filter, " -fps_mode passthrough -f rawvideo -pix_fmt rgb24 -");
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  io::VideoReader reader(path, options);
  io::VideoFrame frame;
  std::vector<unsigned char> want;
  int frames = 0, wrong = 0;
  bool whole = true;
  while (whole && reader.next(frame)) {
    want.resize(static_cast<std::size_t>(frame.rgb.numel()));
    whole = std::fread(want.data(), 1, want.size(), pipe) == want.size();
    if (whole && std::memcmp(want.data(), frame.rgb.data(), want.size()) != 0) ++wrong;
    if (whole) ++frames;
  }
  const bool both_at_end = whole && std::fgetc(pipe) == EOF;
  if (::pclose(pipe) != 0 && frames == 0) {
    MESSAGE("skipped: the program ffmpeg is not here, or does not read the file");
    return;
  }
  CHECK(both_at_end);
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("video: the published RGB frames, byte for byte, in order and by index") {
  struct Clip {
    const char* name;
    std::int64_t frames;
    std::vector<int> known;
  };
  const Clip clips[] = {
      {"var_fps_video.mp4", 300, {0, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 299}},
      {"h265_video.mp4", 10, {5}}};
  for (const Clip& clip : clips) {
    const std::string path = test_data(concat("video/decode_golden/", clip.name));
    if (path.empty()) return;
    CAPTURE(clip.name);
    io::VideoReader reader(path), seeker(path);
    io::VideoFrame frame;
    std::size_t next = 0;
    while (reader.next(frame)) {
      if (next == clip.known.size() || frame.index != clip.known[next]) continue;
      std::string number = std::to_string(clip.known[next++]);
      number.insert(0, 6 - number.size(), '0');
      const auto want =
          io::load_npy(concat(path, ".stream0.frame", number, ".hwc.npy")).tensor<std::uint8_t>();
      CAPTURE(number);
      CHECK(frame.rgb.shape() == want.shape());
      CHECK(frame.rgb.to_vector() == want.to_vector());
      CHECK(seeker.at_index(frame.index).rgb.to_vector() == want.to_vector());
    }
    CHECK(next == clip.known.size());
    CHECK(reader.report().frames == clip.frames);
    CHECK(reader.report().clean());
  }
}

TEST_CASE("video: every decoded picture has the published checksum and time stamp") {
  const char* clips[][2] = {{"decode_golden/av1_video.mkv", "av1_video.mkv"},
                            {"decode_golden/h264_10bits.mp4", "h264_10bits.mp4"},
                            {"decode_golden/h265_video.mp4", "h265_video.mp4"},
                            {"decode_golden/var_fps_video.mp4", "var_fps_video.mp4"},
                            {"labelled/flipping_a_pancake.mkv", "flipping_a_pancake.mkv"},
                            {"labelled/v_BaseballPitch_g01_c01.avi", "v_BaseballPitch_g01_c01.avi"},
                            {"labelled/v_GGSY1Qvo990.mp4", "v_GGSY1Qvo990.mp4"},
                            {"labelled/women_long_jump.mp4", "women_long_jump.mp4"},
                            {"robustness/decord_unordered.mov", "decord_unordered.mov"}};
  for (const auto& clip : clips) {
    const std::string path = test_data(concat("video/", clip[0]));
    const std::string list = test_data(concat("video/decode_golden/", clip[1], ".framemd5"));
    if (path.empty() || list.empty()) return;
    CAPTURE(path);
    AVRational base{1, 1};
    const std::vector<Listed> want = read_framemd5(list, base);
    io::VideoReport report;
    io::video::Source source(path, {}, report);
    io::video::Picture picture;
    std::vector<std::uint8_t> bytes;
    std::size_t count = 0, wrong = 0;
    while (source.pull(picture)) {
      const AVFrame& f = *picture.frame;
      const auto format = static_cast<AVPixelFormat>(f.format);
      bytes.resize(
          static_cast<std::size_t>(av_image_get_buffer_size(format, f.width, f.height, 1)));
      av_image_copy_to_buffer(bytes.data(), static_cast<int>(bytes.size()), f.data, f.linesize,
                              format, f.width, f.height, 1);
      REQUIRE(count < want.size());
      // The lists were written in a time base of one frame.
      if (av_rescale_q(picture.pts, source.time_base(), base) != want[count].pts) ++wrong;
      if (hex_md5(bytes) != want[count].md5) ++wrong;
      ++count;
    }
    CHECK(count == want.size());
    CHECK(wrong == 0);
    CHECK(report.clean());
  }
}

TEST_CASE("video: all clips have the known number of frames; info says what they are") {
  struct Clip {
    const char* name;
    std::int64_t frames, declared;
    int width, height;
    double fps;
  };
  const Clip clips[] = {{"v_GGSY1Qvo990.mp4", 355, 355, 320, 240, 19.62},
                        {"v_ZNVhz7ctTq0.mp4", 420, 420, 480, 360, 30},
                        {"women_long_jump.mp4", 871, 871, 480, 360, 10900.0 / 439},
                        {"v_BaseballPitch_g01_c01.avi", 107, 107, 320, 240, 30000.0 / 1001},
                        {"v_ApplyEyeMakeup_g01_c01.avi", 164, 164, 320, 240, 25},
                        {"flipping_a_pancake.mkv", 310, -1, 426, 240, 30},
                        {"mmaction2_demo.mp4", 280, 280, 340, 256, 28}};
  for (const Clip& clip : clips) {
    const std::string path = test_data(concat("video/labelled/", clip.name));
    if (path.empty()) return;
    CAPTURE(path);
    io::VideoReader reader(path);
    CHECK(reader.info().frames == clip.declared);
    CHECK(reader.info().width == clip.width);
    CHECK(reader.info().height == clip.height);
    CHECK(reader.info().fps == doctest::Approx(clip.fps));
    CHECK(reader.info().pixel_format == "yuv420p");
    CHECK(reader.info().threads ==
          (clip.width * clip.height < 100000 ? 1 : std::min(3, cpu::num_threads())));
    CHECK(reader.count_frames() == clip.frames);
    io::VideoFrame frame;
    REQUIRE(reader.next(frame));
    CHECK(frame.rgb.shape() == Shape{clip.height, clip.width, 3});
    CHECK(frame.seconds == 0);
  }
  const std::string folder = test_data("video/ucf101_160x120/BandMarching");
  if (folder.empty()) return;
  int decoded = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    CAPTURE(entry.path().string());
    io::VideoReader reader(entry.path().string());
    CHECK(reader.count_frames() == reader.info().frames);
    ++decoded;
  }
  CHECK(decoded == 8);
}

TEST_CASE("video: pixels and resampled frames are those of the program ffmpeg") {
  for (const char* name :
       {"robustness/decord_corrupted.mp4", "robustness/decord_unordered.mov",
        "robustness/decord_video_0.mov", "robustness/decord_video_90.mov",
        "robustness/decord_video_180.mov", "robustness/decord_video_270.mov",
        "decode_golden/h264_10bits.mp4", "decode_golden/av1_video.mkv",
        "labelled/flipping_a_pancake.mkv", "labelled/v_ApplyEyeMakeup_g01_c01.avi"}) {
    const std::string path = test_data(concat("video/", name));
    if (path.empty()) break;
    check_against_ffmpeg(path, "", {});
  }
  for (const char* name :
       {"decode_golden/var_fps_video.mp4", "labelled/v_GGSY1Qvo990.mp4",
        "labelled/v_BaseballPitch_g01_c01.avi", "decode_golden/h265_video.mp4"}) {
    const std::string path = test_data(concat("video/", name));
    if (path.empty()) break;
    for (const double fps : {25.0, 10.0, 29.97}) {
      check_against_ffmpeg(path, concat("-vf fps=", fps),
                           {.fps = fps, .resampling = io::Resampling::ffmpeg});
    }
  }
  const TempDir dir;
  struct Case {
    const char* file;
    ClipSpec spec;
  };
  std::vector<Case> cases = {
      {"odd.mkv", {.encoder = "ffv1", .width = 35, .height = 27}},
      {"odd444.mkv", {.encoder = "ffv1", .format = AV_PIX_FMT_YUV444P, .width = 33, .height = 31}},
      {"422.mkv", {.encoder = "ffv1", .format = AV_PIX_FMT_YUV422P, .width = 40, .height = 22}},
      {"full.mkv", {.encoder = "mjpeg", .format = AV_PIX_FMT_YUVJ420P, .gop = 1, .b_frames = 0}},
      {"wide.mp4", {.width = 1030, .height = 18, .frames = 3}},
      {"full_range.mkv", {.encoder = "ffv1", .range = AVCOL_RANGE_JPEG}},
      {"limited.mkv", {.encoder = "ffv1", .range = AVCOL_RANGE_MPEG}},
      {"709.mkv", {.encoder = "ffv1", .options = "colorspace=bt709"}}};
  for (const Case& c : cases) {
    write_clip(dir.path(c.file), c.spec);
    check_against_ffmpeg(dir.path(c.file), "", {});
  }
  // Range and matrix change the pixels.
  const std::string limited = all_pixels(dir.path("limited.mkv"), {});
  CHECK(limited != all_pixels(dir.path("full_range.mkv"), {}));
  CHECK(limited != all_pixels(dir.path("709.mkv"), {}));
}

TEST_CASE("video: turned and mirrored pictures") {
  const TempDir dir;
  ClipSpec spec{.encoder = "ffv1", .width = 34, .height = 20, .frames = 2};
  write_clip(dir.path("plain.mov"), spec);
  io::VideoReader plain(dir.path("plain.mov"));
  const Tensor<std::uint8_t> stored = plain.at_index(1).rgb;
  struct Case {
    int a, b, c, d, rotation;
    bool mirrored;
  };
  // A stored point (p, q) is shown at (a p + c q, b p + d q).
  for (const Case& m : {Case{16, 0, 0, 16, 0, false}, Case{0, 16, -16, 0, 90, false},
                        Case{-16, 0, 0, -16, 180, false}, Case{0, -16, 16, 0, 270, false},
                        Case{-16, 0, 0, 16, 0, true}, Case{16, 0, 0, -16, 180, true},
                        Case{0, 16, 16, 0, 90, true}, Case{0, -16, -16, 0, 270, true}}) {
    CAPTURE(concat(m.a, " ", m.b, " ", m.c, " ", m.d));
    spec.matrix[0] = m.a, spec.matrix[1] = m.b, spec.matrix[2] = m.c, spec.matrix[3] = m.d;
    const std::string path = dir.path("turned.mov");
    write_clip(path, spec);
    io::VideoReader reader(path), as_stored(path, {.rotate = false});
    CHECK(as_stored.at_index(1).rgb.to_vector() == stored.to_vector());
    CHECK(reader.info().rotation == m.rotation);
    CHECK(reader.info().mirrored == m.mirrored);
    const Tensor<std::uint8_t> shown = reader.at_index(1).rgb;
    const bool across = m.a == 0;
    REQUIRE(shown.shape() == (across ? Shape{34, 20, 3} : Shape{20, 34, 3}));
    CHECK(reader.info().width == shown.size(1));
    int wrong = 0;
    for (int q = 0; q < 20; ++q) {
      for (int p = 0; p < 34; ++p) {
        int x = (m.a * p + m.c * q) / 16, y = (m.b * p + m.d * q) / 16;
        if (x < 0 || m.a + m.c < 0) x += static_cast<int>(shown.size(1)) - 1;
        if (y < 0 || m.b + m.d < 0) y += static_cast<int>(shown.size(0)) - 1;
        for (int k = 0; k < 3; ++k) wrong += shown.at({y, x, k}) != stored.at({q, p, k});
      }
    }
    CHECK(wrong == 0);
  }
  spec.matrix[0] = 11, spec.matrix[1] = 11, spec.matrix[2] = -11, spec.matrix[3] = 11;
  write_clip(dir.path("slanted.mov"), spec);
  io::VideoReader slanted(dir.path("slanted.mov"));
  CHECK(slanted.at_index(1).rgb.to_vector() == stored.to_vector());
  REQUIRE(slanted.report().warnings.size() == 1);
  CHECK(contains(slanted.report().warnings[0], "no multiple of 90 degrees"));
}

TEST_CASE("video: resampling takes the frame that its rule names") {
  const TempDir dir;
  const auto time = [](int i) {
    return std::int64_t{40} * i + (i % 3 == 1 ? 17 : 0) + (i > 9 ? 400 : 0);
  };
  write_clip(dir.path("a.mkv"), {.encoder = "ffv1", .frames = 20, .b_frames = 0, .time = time});
  for (const double fps : {25.0, 50.0, 10.0, 3.0, 200.0, 29.97}) {
    for (const auto rule : {io::Resampling::nearest, io::Resampling::ffmpeg}) {
      io::VideoReader reader(dir.path("a.mkv"), {.fps = fps, .resampling = rule});
      io::VideoFrame frame;
      std::int64_t count = 0;
      int wrong = 0;
      while (reader.next(frame)) {
        const double t = static_cast<double>(count) / fps;
        int want = 0;
        for (int i = 1; i < 20; ++i) {
          const double s = static_cast<double>(time(i)) / 1000;
          if (rule == io::Resampling::nearest) {
            if (std::abs(s - t) < std::abs(static_cast<double>(time(want)) / 1000 - t) - 1e-9)
              want = i;
          } else if (std::floor(s * fps + 0.5 + 1e-9) <= static_cast<double>(count)) {
            want = i;
          }
        }
        if (frame.index != count || std::abs(frame.seconds - t) > 1e-9) ++wrong;
        if (std::abs(frame.source_seconds - static_cast<double>(time(want)) / 1000) > 1e-9) ++wrong;
        ++count;
      }
      CAPTURE(fps);
      CHECK(wrong == 0);
      const double end = static_cast<double>(time(19) + 40) / 1000;
      CHECK(count == static_cast<std::int64_t>(std::floor(end * fps + 0.5)));
    }
  }
}

TEST_CASE("video: the best stream, a chosen one, and the list of those that exist") {
  const TempDir dir;
  const std::string path = dir.path("two.mkv");
  write_clip(path, {.frames = 5, .video_streams = 2});
  CHECK(io::VideoReader(path).info().stream == 0);
  CHECK(io::VideoReader(path).info().width == 64);
  io::VideoReader second(path, {.stream = 1});
  CHECK(second.info().width == 32);
  CHECK(second.count_frames() == 5);
  CHECK(second.at_index(3).rgb.shape() == Shape{48, 32, 3});
  CHECK(error_of([&] { io::VideoReader(path, {.stream = 2}); }) ==
        concat("[read_video] ", path,
               ": stream 2 is no video stream; the file has the streams 0 (video, mpeg4), 1 "
               "(video, mpeg4)"));
}

TEST_CASE("video: frames are written in place, into tensors that nobody else holds") {
  const TempDir dir;
  write_clip(dir.path("a.mp4"), {});
  io::VideoReader reader(dir.path("a.mp4"), {.threads = 3});
  CHECK(reader.info().threads == 3);
  io::VideoFrame frame;
  REQUIRE(reader.next(frame));
  const std::uint8_t* first = frame.rgb.data();
  REQUIRE(reader.next(frame));
  CHECK(frame.rgb.data() == first);
  const Tensor<std::uint8_t> kept = frame.rgb;
  const auto before = kept.to_vector();
  REQUIRE(reader.next(frame));
  CHECK(frame.rgb.data() != first);
  CHECK(kept.to_vector() == before);
  CHECK(frame.rgb.to_vector() != before);
  io::VideoReader moved = std::move(reader);
  CHECK(moved.next(frame));
  CHECK(frame.index == 3);
}

TEST_CASE("video: readers on several threads at once, one of them of a damaged file") {
  const TempDir dir;
  write_clip(dir.path("a.mp4"), {});
  const std::string want = all_pixels(dir.path("a.mp4"), {});
  std::string bytes = io::read_text(dir.path("a.mp4"));
  for (std::size_t i = 200; i < bytes.size() / 2; i += 97) bytes[i] = static_cast<char>(~bytes[i]);
  io::write_text(dir.path("b.mp4"), bytes);
  std::string got[4];
  bool damage_is_told = false;
  std::vector<std::thread> threads;
  for (std::string& g : got)
    threads.emplace_back([&] { g = all_pixels(dir.path("a.mp4"), {.threads = 2}); });
  threads.emplace_back([&] {
    io::VideoReader reader(dir.path("b.mp4"), {.threads = 2});
    io::VideoFrame frame;
    while (reader.next(frame)) {
    }
    damage_is_told = !reader.report().clean();
  });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& g : got) CHECK(g == want);
  CHECK(damage_is_told);
}
