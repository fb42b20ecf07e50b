#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "tandem/image/video.hpp"
#include "tandem/image/video_writer.hpp"
#include "tandem/io/file.hpp"
#include "write_video.hpp"

using namespace tandem;

namespace {

/// A smooth picture that moves: codecs keep it nearly as it is.
Tensor<std::uint8_t> moving_picture(int number, std::int64_t height = 48, std::int64_t width = 64) {
  Tensor<std::uint8_t> out(Shape{height, width, 3});
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      for (std::int64_t c = 0; c < 3; ++c) {
        const double value = 128 + 60 * std::sin(0.1 * static_cast<double>(x + 2 * number)) +
                             50 * std::cos(0.08 * static_cast<double>(y) + static_cast<double>(c));
        out.set({y, x, c}, static_cast<std::uint8_t>(value));
      }
    }
  }
  return out;
}
double mean_difference(const Tensor<std::uint8_t>& a, const Tensor<std::uint8_t>& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) sum += std::abs(int{a.data()[i]} - int{b.data()[i]});
  return sum / static_cast<double>(a.numel());
}

}  // namespace

TEST_CASE("VideoWriter: what VideoReader reads back, in every container, frame by frame") {
  const tandem_test::TempDir dir;
  struct Case {
    const char *name, *encoder;
  };
  for (const Case& c : {Case{"a.mp4", ""}, Case{"a.mkv", ""}, Case{"a.avi", "mpeg4"},
                        Case{"b.mp4", "mpeg4"}, Case{"a.webm", ""}, Case{"b.mkv", "ffv1"}}) {
    CAPTURE(c.name);
    if (std::string(c.name) == "a.webm" && !tandem_test::has_encoder("libvpx-vp9")) continue;
    const std::string path = dir.path(c.name);
    io::VideoWriter writer(path, 64, 48, {.fps = 12.5, .encoder = c.encoder, .quality = 10});
    if (*c.encoder != 0) CHECK(writer.encoder() == c.encoder);
    for (int i = 0; i < 30; ++i) writer.add(moving_picture(i));
    CHECK(writer.frames() == 30);
    CHECK(!io::is_file(path));  // not before it is complete
    writer.close();
    io::VideoReader reader(path);
    CHECK(reader.info().width == 64);
    CHECK(reader.info().height == 48);
    CHECK(reader.info().fps == doctest::Approx(12.5));
    io::VideoFrame frame;
    int count = 0;
    for (; reader.next(frame); ++count) {
      CHECK(frame.seconds == doctest::Approx(count * 0.08).epsilon(1e-3));
      // 4:2:0 and the quantizer: a few levels on a smooth picture; the next frame differs by six.
      CHECK(mean_difference(frame.rgb, moving_picture(count)) < 3);
    }
    CHECK(count == 30);
    CHECK(reader.report().clean());
    CHECK(mean_difference(reader.at_index(17).rgb, moving_picture(17)) < 3);
  }
}

TEST_CASE("VideoWriter: the same frames give the same bytes; views are written as they look") {
  const tandem_test::TempDir dir;
  std::vector<std::vector<char>> elsewhere;  // memory lies at other places each time
  const auto write = [&](const char* name, bool transposed) {
    elsewhere.emplace_back(std::size_t{1} << (10 + elsewhere.size()));
    io::VideoWriter writer(dir.path(name), 64, 48, {});
    for (int i = 0; i < 200; ++i) {
      if (transposed) {
        const Tensor<std::uint8_t> turned = moving_picture(i).transpose(0, 1).contiguous();
        writer.add(turned.transpose(0, 1));
      } else {
        writer.add(moving_picture(i));
      }
    }
    writer.close();
    return io::read_text(dir.path(name));
  };
  const std::string first = write("1.mp4", false);
  CHECK(first == write("2.mp4", false));
  CHECK(first == write("a_longer_name_than_before.mp4", true));
  CHECK(first == write("3.mp4", false));
}

TEST_CASE(
    "VideoWriter: a video that is not closed leaves what was there; errors say what is wrong") {
  const tandem_test::TempDir dir;
  io::write_text(dir.path("a.mp4"), "mine");
  {
    io::VideoWriter writer(dir.path("a.mp4"), 64, 48);
    writer.add(moving_picture(0));
    CHECK(tandem_test::error_of([&] {
            writer.add(moving_picture(0, 48, 62));
          }).find("expected a frame of shape (48, 64, 3), got (48, 62, 3)") != std::string::npos);
  }
  CHECK(io::read_text(dir.path("a.mp4")) == "mine");
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path("")))
    ++files;
  CHECK(files == 1);  // no temporary file stays

  const auto error = [&](const char* name, std::int64_t width, std::int64_t height,
                         const io::VideoWriterOptions& options) {
    return tandem_test::error_of([&] { io::VideoWriter(dir.path(name), width, height, options); });
  };
  const auto says = [](const std::string& text, const char* words) {
    CHECK_MESSAGE(text.find(words) != std::string::npos, text);
  };
  says(error("a.mp4", 63, 48, {}), "expected an even width and height");
  says(error("a.mp4", 0, 48, {}), "expected an even width and height");
  says(error("a.mp4", 64, 48, {.fps = 1e-9}), "a rate from 0.01");
  says(error("a.mp4", 64, 48, {.fps = NAN}), "a rate from 0.01");
  says(error("a.mp4", 64, 48, {.quality = 52}), "a quality from 0 to 51");
  says(error("a.mp4", 64, 48, {.key_frame_every = 0}), "at least 1 frame");
  // Names of what is no container of video, or of muxers that write other files, and what was
  // there.
  for (const char* name :
       {"a.xyz", "a", "a.png", "a%03d.jpg", "a.m3u8", "a.mpd", "a.yuv", "a.wav"}) {
    io::write_text(dir.path(name), "mine");
    says(error(name, 64, 48, {}), "expected a name that ends in .mp4");
    CHECK(io::read_text(dir.path(name)) == "mine");
  }
  says(error("a.mp4", 64, 48, {.encoder = "nothing"}), "no encoder 'nothing'");
  says(error("a.webm", 64, 48, {.encoder = "mpeg4"}), "does not fit a container");
  says(error("no/a.mp4", 64, 48, {}), "the folder");
  io::VideoWriter empty(dir.path("b.mp4"), 64, 48);
  says(tandem_test::error_of([&] { empty.close(); }), "at least one frame");
  io::VideoWriter done(dir.path("c.mp4"), 64, 48);
  done.add(moving_picture(0));
  done.close();
  says(tandem_test::error_of([&] { done.add(moving_picture(1)); }), "already closed");
  says(tandem_test::error_of([&] { done.close(); }), "already closed");
  CHECK(io::VideoReader(dir.path("c.mp4")).count_frames() == 1);
  const io::VideoWriter moved = std::move(done);
  CHECK(moved.frames() == 1);
  says(tandem_test::error_of([&] { (void)done.frames(); }), "was moved");
}

TEST_CASE("AtomicFile::overwrite: bytes that were written before, and no others") {
  const tandem_test::TempDir dir;
  CHECK(tandem_test::error_of([&] {
          io::AtomicFile file(dir.path("x"));
          file.write("abc");
          file.overwrite(2, "xy", 2);
        }).find("bytes 2 to 4 were to be replaced, 3 have been written") != std::string::npos);
  io::AtomicFile file(dir.path("x"));
  file.write("abcdef");
  file.overwrite(1, "XY", 2);
  file.write("gh");
  file.commit();
  CHECK(io::read_text(dir.path("x")) == "aXYdefgh");
}
