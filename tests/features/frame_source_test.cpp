#include "tandem/features/frame_source.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// Frames of noise, 40 × 56, and how often one was asked for.
struct Synthetic {
  std::vector<io::VideoFrame> frames;
  int asked = 0;

  explicit Synthetic(std::int64_t count, double fps = 12.5) {
    std::uint32_t random = 7;
    for (std::int64_t i = 0; i < count; ++i) {
      const Tensor<std::uint8_t> picture({40, 56, 3});
      for (std::int64_t k = 0; k < picture.numel(); ++k) {
        random = random * 1664525 + 1013904223;
        picture.mutable_data()[k] = static_cast<std::uint8_t>(random >> 24);
      }
      const double seconds = 3 + static_cast<double>(i) / fps;
      frames.push_back({.rgb = picture, .index = i, .seconds = seconds, .source_seconds = seconds});
    }
  }
  FrameSource::Decode decode() {
    return [this](io::VideoFrame& frame) {
      const auto at = static_cast<std::size_t>(asked++);
      if (at >= frames.size()) return false;
      frame = frames[at];
      return true;
    };
  }
};

ExtractionOptions small(SnippetOptions snippets) {
  ExtractionOptions o{.snippets = snippets, .flow_size = 24};
  o.i3d.size = 36;
  o.i3d.crop = 32;
  o.clip.size = o.clip.crop = 28;
  return o;
}

template <class T>
bool same(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::equal(a.data(), a.data() + a.numel(), b.data());
}

std::vector<ExtractionFrame> all(FrameSource& source) {
  std::vector<ExtractionFrame> out;
  while (std::optional<ExtractionFrame> frame = source.next()) out.push_back(std::move(*frame));
  CHECK(!source.next());
  return out;
}

}  // namespace

TEST_CASE("frame_source: each stream gets of each frame what it needs, and no more") {
  const ExtractionOptions o = small({.stack = 2, .step = 3});  // every third frame lies in no row
  Synthetic video(8);
  StageClock clock;
  FrameSource source(o, {.rgb = true, .flow = true, .clip = true}, 12.5, clock, video.decode());
  const std::vector<ExtractionFrame> frames = all(source);
  REQUIRE(frames.size() == 8);
  CHECK(video.asked == 9);  // and not again after the end
  const auto gray = [&](std::size_t i) {
    const Tensor<std::uint8_t>& picture = video.frames[i].rgb;
    const io::ImageSize size = io::resized_size(40, 56, 24);
    return io::rgb_to_gray(io::resize(picture, size.height, size.width, o.i3d.filter));
  };
  for (std::size_t i = 0; i < frames.size(); ++i) {
    CAPTURE(i);
    const ExtractionFrame& f = frames[i];
    CHECK(f.index == static_cast<std::int64_t>(i));
    CHECK(f.seconds == video.frames[i].seconds);
    CHECK(f.last == (i == 7));
    const bool used = i % 3 < 2;
    REQUIRE(f.crop.defined() == used);
    if (used) CHECK(same(f.crop, io::resize_and_crop(video.frames[i].rgb, 36, 32, o.i3d.filter)));
    CHECK(same(f.gray, gray(i)));
    REQUIRE(f.next_gray.defined() == (i < 7));
    if (i < 7) CHECK(same(f.next_gray, gray(i + 1)));
    REQUIRE(f.clip.defined() == (i % 3 == 1));  // the middle of a row of two
    if (f.clip.defined()) CHECK(same(f.clip, clip::preprocess(video.frames[i].rgb, o.clip)));
    CHECK(!f.picture.defined());
    CHECK(!f.flow.defined());
    if (i < 7) CHECK(f.next_seconds == video.frames[i + 1].seconds);
  }
  CHECK(clock.read().prepare > 0);
  CHECK(clock.read().flow == 0);
}

TEST_CASE("frame_source: without a stream nothing is made for it") {
  Synthetic video(3);
  StageClock clock;
  FrameSource source(small({.stack = 1, .step = 1}), {}, 0, clock, video.decode());
  for (const ExtractionFrame& f : all(source)) {
    CHECK(!f.crop.defined());
    CHECK(!f.gray.defined());
    CHECK(!f.next_gray.defined());
    CHECK(!f.clip.defined());
    CHECK(!f.picture.defined());
  }
  Synthetic none(0);
  FrameSource empty(small({}), {.rgb = true}, 25, clock, none.decode());
  CHECK(!empty.next());
  CHECK(!empty.next());
  CHECK(none.asked == 1);
}

TEST_CASE("frame_source: CLIP sees the last frame where it repeats") {
  for (const Tail tail : {Tail::drop, Tail::repeat}) {
    const ExtractionOptions o = small({.stack = 4, .step = 4, .tail = tail});
    Synthetic video(6);
    StageClock clock;
    FrameSource source(o, {.clip = true}, 25, clock, video.decode());
    const std::vector<ExtractionFrame> frames = all(source);
    REQUIRE(frames.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
      const bool seen = i == 2 || (i == 5 && tail == Tail::repeat);
      REQUIRE(frames[i].clip.defined() == seen);
      if (seen) CHECK(same(frames[i].clip, clip::preprocess(video.frames[i].rgb, o.clip)));
      CHECK(!frames[i].picture.defined());
    }
  }
}

TEST_CASE("frame_source: how long the last frame is shown") {
  struct Case {
    double resampled, own, expected;
  };
  for (const Case& c : {Case{25, 10, 1.0 / 25}, {0, 10, 1.0 / 10}, {0, 0, 0}, {5, 0, 1.0 / 5}}) {
    Synthetic video(2);
    StageClock clock;
    FrameSource source(small({.fps = c.resampled}), {}, c.own, clock, video.decode());
    const std::vector<ExtractionFrame> frames = all(source);
    REQUIRE(frames.size() == 2);
    CHECK(frames[1].next_seconds == frames[1].seconds + c.expected);
  }
}

TEST_CASE("frame_source: errors of decoding go through") {
  StageClock clock;
  int asked = 0;
  FrameSource source(small({}), {}, 25, clock, [&](io::VideoFrame& frame) {
    if (++asked == 3) fail("video", "damaged");
    frame = {.rgb = Tensor<std::uint8_t>({8, 8, 3}), .index = asked - 1};
    return true;
  });
  CHECK(source.next().has_value());
  CHECK_THROWS_WITH_AS(source.next(), "[video] damaged", Error);
}
