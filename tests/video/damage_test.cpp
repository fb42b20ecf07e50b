#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/image/video.hpp"
#include "tandem/io/file.hpp"
#include "write_video.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

std::string open_error(const std::string& path, const io::VideoOptions& options = {}) {
  return error_of([&] { io::VideoReader(path, options); });
}

std::int64_t read_through(io::VideoReader& reader) {
  io::VideoFrame frame;
  std::int64_t count = 0;
  while (reader.next(frame)) ++count;
  return count;
}

bool has_warning(const io::VideoReader& reader, const std::string& part) {
  const auto& all = reader.report().warnings;
  return std::any_of(all.begin(), all.end(),
                     [&](const std::string& line) { return contains(line, part); });
}

/// A second of a 440 Hz tone as a WAV file.
std::string wav() {
  std::string bytes(
      "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\x80\x3e\0\0",
      44);
  for (int i = 0; i < 8000; ++i) {
    const int sample = (i * 440 * 8 / 8000) % 8 < 4 ? 4000 : -4000;
    bytes += static_cast<char>(sample & 255);
    bytes += static_cast<char>(sample >> 8 & 255);
  }
  return bytes;
}

long resident_kilobytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return -1;
  long pages = 0, resident = 0;
  const int found = std::fscanf(file, "%ld %ld", &pages, &resident);
  std::fclose(file);
  return found == 2 ? resident * 4 : -1;
}

}  // namespace

TEST_CASE("video: what is no video is one sentence with the file and the reason") {
  const TempDir dir;
  const auto path = [&](const char* name) { return dir.path(name); };
  CHECK(open_error(path("none.mp4")) ==
        concat("[read_video] ", path("none.mp4"), ": cannot be opened: No such file or directory"));
  io::make_directories(path("folder.mp4"));
  CHECK(open_error(path("folder.mp4")) ==
        concat("[read_video] ", path("folder.mp4"), ": is a directory, expected a video file"));
  REQUIRE(::mkfifo(path("pipe.mp4").c_str(), 0600) == 0);
  CHECK(open_error(path("pipe.mp4")) ==
        concat("[read_video] ", path("pipe.mp4"), ": is a pipe, expected a video file"));
  io::write_text(path("empty.mp4"), "");
  CHECK(open_error(path("empty.mp4")) ==
        concat("[read_video] ", path("empty.mp4"), ": the file is empty"));
  const std::string no_video = ": is no video file that FFmpeg can read";
  std::string prose;
  for (int i = 0; i < 200; ++i)
    prose += "It was a bright cold day in April, and the clocks were striking thirteen.\n";
  for (const std::string& text :
       {std::string("hello\n"), prose, std::string(5000, '\0'),
        std::string(
            "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
        std::string("ffconcat version 1.0\nfile b.mp4\n")}) {
    io::write_text(path("text.mp4"), text);
    CAPTURE(text.substr(0, 40));
    CHECK(contains(open_error(path("text.mp4")),
                   concat("[read_video] ", path("text.mp4"), no_video)));
  }
  io::write_text(path("tone.wav"), wav());
  CHECK(open_error(path("tone.wav")) ==
        concat("[read_video] ", path("tone.wav"),
               ": there is no video stream; the file has the streams 0 (audio, pcm_s16le)"));
  CHECK(contains(open_error(path("tone.wav"), {.stream = 0}),
                 ": stream 0 is no video stream; the file has"));
}

TEST_CASE("video: options outside their ranges") {
  const TempDir dir;
  const std::string path = dir.path("a:b c.mp4");  // no address, whatever it looks like
  write_clip(path, {});
  CHECK(open_error(path) == "no error");
  CHECK(open_error(path, {.stream = -2}) == "[read_video] stream must be a number, or -1, got -2");
  CHECK(open_error(path, {.fps = -1}) ==
        "[read_video] fps must be 0 or from 0.001 to 1000, got -1");
  CHECK(contains(open_error(path, {.fps = std::stod("nan")}), "fps must be 0 or"));
  CHECK(contains(open_error(path, {.threads = -1}), "threads must be from 0 to 1024, got -1"));
  CHECK(contains(open_error(path, {.max_pixels = 0}), "max_pixels must be positive"));
  CHECK(contains(open_error(path, {.max_pixels = 64 * 48 - 1}),
                 "64 x 48 pixels are more than the limit of 3071"));
  CHECK(open_error(path, {.max_pixels = 64 * 48}) == "no error");
  io::VideoReader reader(path);
  CHECK(contains(error_of([&] { reader.at_index(-1); }), "frame -1 was asked for"));
  CHECK(
      contains(error_of([&] { reader.at_time(std::stod("inf")); }), "a finite time was expected"));
}

TEST_CASE("video: a file that ends early gives the frames that are there, and says so") {
  const TempDir dir;
  struct Case {
    const char* file;
    ClipSpec spec;
    const char* warning;
  };
  // The index of an MP4 file must be in front to outlive the cut.
  for (const Case& c : {Case{"a.mp4",
                             {.frames = 100, .muxer = "movflags=faststart"},
                             "The file declares 100 frames, "},
                        Case{"a.mkv", {.frames = 100}, "FFmpeg: File ended prematurely"},
                        Case{"a.avi", {.frames = 100}, "The file declares 100 frames, "}}) {
    CAPTURE(c.file);
    const std::string path = dir.path(c.file);
    write_clip(path, c.spec);
    io::VideoReader whole(path);
    CHECK(read_through(whole) == 100);
    CHECK(whole.report().clean());
    CHECK(whole.report().at_end);
    CHECK(!whole.report().truncated);
    const std::string bytes = io::read_text(path);
    const std::string cut_path = dir.path(concat("cut_", c.file));
    io::write_text(cut_path, std::string_view(bytes).substr(0, bytes.size() * 6 / 10));
    io::VideoReader cut(cut_path);
    const std::int64_t frames = read_through(cut);
    CHECK(frames > 30);
    CHECK(frames < 80);
    CHECK(cut.report().truncated);
    CHECK(has_warning(cut, c.warning));
    // What is there is what the whole file has.
    io::VideoReader again(cut_path);
    CHECK(again.at_index(20).rgb.to_vector() == whole.at_index(20).rgb.to_vector());
    CHECK(again.count_frames() == frames);
    CHECK(contains(error_of([&] { again.at_index(99); }),
                   concat("frame 99 was asked for, the video has ", frames)));
  }
  write_clip(dir.path("b.mp4"), {});
  const std::string bytes = io::read_text(dir.path("b.mp4"));
  io::write_text(dir.path("b.mp4"), std::string_view(bytes).substr(0, bytes.size() / 2));
  CHECK(contains(open_error(dir.path("b.mp4")),
                 "is no video file that FFmpeg can read: Invalid data found"));
}

TEST_CASE("video: the published damaged file: one packet of fifty is lost, and that is told") {
  const std::string path = test_data("video/robustness/decord_corrupted.mp4");
  if (path.empty()) return;
  io::VideoReader reader(path);
  CHECK(reader.info().frames == 50);
  CHECK(read_through(reader) == 49);
  CHECK(reader.report().packets == 50);
  CHECK(reader.report().frames == 49);
  CHECK(reader.report().skipped_packets == 1);
  CHECK(!reader.report().truncated);
  CHECK(has_warning(reader, "FFmpeg: Invalid NAL unit size (-1 > 551)."));
  CHECK(has_warning(reader, "1 of 50 packets could not be decoded."));
  CHECK(has_warning(reader, "The file declares 50 frames, 49 were decoded."));
}

TEST_CASE("video: hostile bytes neither crash nor hang") {
  const TempDir dir;
  std::vector<std::string> seeds;
  struct Case {
    const char* file;
    ClipSpec spec;
  };
  for (const Case& c :
       {Case{"a.mp4", {.width = 32, .height = 32, .frames = 12, .muxer = "movflags=faststart"}},
        Case{"a.mkv", {.width = 32, .height = 32, .frames = 12}},
        Case{"a.avi", {.width = 32, .height = 32, .frames = 12}},
        Case{"a.ts", {.encoder = "mpeg2video", .width = 32, .height = 32, .frames = 12}}}) {
    write_clip(dir.path(c.file), c.spec);
    seeds.push_back(dir.path(c.file));
  }
  for (const char* name : {"robustness/decord_unordered.mov", "decode_golden/h265_video.mp4"}) {
    if (const std::string path = test_data(concat("video/", name)); !path.empty())
      seeds.push_back(path);
  }
  std::mt19937 random(11);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  int opened = 0, refused = 0;
  double longest = 0;
  for (const std::string& seed : seeds) {
    const std::string bytes = io::read_text(seed);
    const std::string path = dir.path("hostile");
    for (int trial = 0; trial < 40; ++trial) {
      std::string hostile = bytes;
      const int kind = trial % 4;
      if (kind == 0) {
        hostile.resize(1 + below(hostile.size()));
      } else {
        // Anywhere; in the first kilobyte, where the structure is; or a run of ones, a large
        // number.
        const std::size_t range =
            kind == 2 ? std::min<std::size_t>(1024, hostile.size()) : hostile.size();
        for (int i = 0; i < 1 + trial / 4; ++i) {
          const std::size_t at = below(range);
          if (kind == 3) {
            for (std::size_t k = at; k < std::min(at + 4, hostile.size()); ++k) hostile[k] = '\xFF';
          } else {
            hostile[at] = static_cast<char>(random());
          }
        }
      }
      io::write_text(path, hostile);
      CAPTURE(seed);
      CAPTURE(trial);
      const auto start = std::chrono::steady_clock::now();
      try {
        io::VideoReader reader(
            path,
            {.fps = trial % 3 == 0 ? 25.0 : 0.0, .threads = 1 + trial % 2, .max_pixels = 1 << 20});
        io::VideoFrame frame;
        // A damaged time stamp may ask for a long standing picture.
        for (int i = 0; i < 300 && reader.next(frame); ++i) {
        }
        frame = reader.at_index(3);
        frame = reader.at_time(0.2);
        ++opened;
      } catch (const Error&) {
        ++refused;
      }
      longest = std::max(
          longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  CHECK(opened > 20);
  CHECK(refused > 20);
  CHECK(longest < 20);  // most take milliseconds
}

TEST_CASE("video: memory does not grow with the length") {
  const TempDir dir;
  write_clip(dir.path("long.mp4"),
             {.width = 160, .height = 120, .frames = 3000, .options = "qscale=31"});
  io::VideoReader reader(dir.path("long.mp4"), {.fps = 25});
  io::VideoFrame frame;
  long before = 0;
  std::int64_t count = 0, tensors = 0;
  while (reader.next(frame)) {
    if (++count != 300) continue;
    before = resident_kilobytes();
    tensors = memory_stats().current;
  }
  CHECK(count == 3000);
  CHECK(memory_stats().current == tensors);
  // 2700 frames are 156 MB of pixels and 540 KB of packets. AddressSanitizer keeps what is
  // released.
  if (TANDEM_ALLOCATOR_KEEPS && before > 0) CHECK(resident_kilobytes() - before < 4096);
}
