#include "tandem/features/row_assembler.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// A frame is its number; some numbers are alive at a time.
using Frame = std::shared_ptr<const std::int64_t>;

struct Made {
  std::vector<std::int64_t> frames = {};
  std::int64_t before = -1;  // −1: none
  std::int64_t come = 0;     // frames that had come
};

struct Video {
  std::vector<Made> rows;
  std::vector<double> ends_ms;
  double seconds = 0;
  long most_alive = 0;  // frames that were kept at a time
};

/// Frame i is shown from times[i] to times[i + 1].
Video assemble(const std::vector<double>& times, const SnippetOptions& o) {
  Video out;
  RowAssembler<Frame> rows(o);
  const auto n = static_cast<std::int64_t>(times.size()) - 1;
  std::vector<std::weak_ptr<const std::int64_t>> all;
  std::int64_t come = 0;
  const auto emit = [&](const FrameRow<Frame>& row) {
    Made made{.come = come};
    for (std::int64_t i = 0; i < row.size(); ++i) made.frames.push_back(*row[i]);
    if (row.before() != nullptr) made.before = **row.before();
    out.rows.push_back(made);
  };
  for (std::int64_t i = 0; i < n; ++i) {
    Frame frame = std::make_shared<const std::int64_t>(i);
    all.push_back(frame);
    ++come;
    const auto at = static_cast<std::size_t>(i);
    rows.add(std::move(frame), times[at], times[at + 1], i == n - 1, emit);
    CHECK(rows.rows() == static_cast<std::int64_t>(out.rows.size()));
    long alive = 0;
    for (const auto& one : all) alive += one.expired() ? 0 : 1;
    out.most_alive = std::max(out.most_alive, alive);
  }
  come = n + 1;  // the end
  rows.finish(emit);
  CHECK(rows.frames() == n);
  out.ends_ms = rows.timestamps_ms();
  out.seconds = rows.seconds();
  return out;
}

/// Frames that are shown for different times, as in a video that is not resampled.
std::vector<double> uneven(std::int64_t frames) {
  std::vector<double> times{0.25};
  for (std::int64_t i = 0; i < frames; ++i)
    times.push_back(times.back() + 0.03 + 0.01 * static_cast<double>(i % 4));
  return times;
}

}  // namespace

TEST_CASE(
    "row_assembler: rows hold the frames that the conventions say, as soon as they are there") {
  for (const Tail tail : {Tail::drop, Tail::repeat}) {
    for (const LastFlow last : {LastFlow::repeat, LastFlow::drop}) {
      for (const std::int64_t stack : {1, 2, 7, 16}) {
        for (const std::int64_t step : {1, 3, 7, 16, 20}) {
          for (const std::int64_t n : {0, 1, 2, 6, 7, 8, 16, 17, 40, 53}) {
            const SnippetOptions o{.stack = stack, .step = step, .tail = tail, .last_flow = last};
            CAPTURE(stack);
            CAPTURE(step);
            CAPTURE(n);
            CAPTURE(static_cast<int>(tail));
            CAPTURE(static_cast<int>(last));
            const std::vector<double> times = uneven(n);
            const Video video = assemble(times, o);
            REQUIRE(static_cast<std::int64_t>(video.rows.size()) == snippet_count(n, o));
            REQUIRE(video.ends_ms.size() == video.rows.size());
            // Never more than the row that is awaited; the last frame may have to repeat.
            CHECK(video.most_alive <= std::max<std::int64_t>(stack, 1));
            for (std::size_t r = 0; r < video.rows.size(); ++r) {
              const Made& row = video.rows[r];
              const std::int64_t first = static_cast<std::int64_t>(r) * step, end = first + stack;
              std::vector<std::int64_t> expected;
              for (std::int64_t i = first; i < end; ++i) expected.push_back(std::min(i, n - 1));
              REQUIRE(row.frames == expected);
              CHECK(row.come == (end <= n ? end : n + 1));
              CHECK(row.before == (stack == 1 && r > 0 ? first - 1 : -1));
              // Where the frame behind the row begins; beyond the video, as far apart as the last.
              const double interval =
                  times[static_cast<std::size_t>(n)] - times[static_cast<std::size_t>(n - 1)];
              const double seconds = end <= n ? times[static_cast<std::size_t>(end)]
                                              : times[static_cast<std::size_t>(n)] +
                                                    static_cast<double>(end - n) * interval;
              CHECK(std::fabs(video.ends_ms[r] - 1000 * seconds) < 1e-9 * 1000 * seconds);
            }
            if (n > 0) CHECK(video.seconds == times[static_cast<std::size_t>(n)] - times[0]);
          }
        }
      }
    }
  }
}

TEST_CASE("row_assembler: at equal intervals the ends are those of snippet_end_ms") {
  for (const double fps : {25.0, 7.0, 30000.0 / 1001}) {
    const SnippetOptions o{.stack = 24, .step = 10, .fps = fps, .tail = Tail::repeat};
    std::vector<double> times;
    for (int i = 0; i <= 100; ++i) times.push_back(i / fps);
    const Video video = assemble(times, o);
    REQUIRE(video.ends_ms.size() == 9);
    for (std::size_t r = 0; r < video.ends_ms.size(); ++r) {
      const double expected = snippet_end_ms(static_cast<std::int64_t>(r), fps, o);
      CHECK(std::fabs(video.ends_ms[r] - expected) < 1e-10 * expected);
    }
  }
}

TEST_CASE("row_assembler: options that make no rows are refused") {
  CHECK_THROWS_AS(RowAssembler<int>({.stack = 0}), Error);
  CHECK_THROWS_AS(RowAssembler<int>({.step = 0}), Error);
}

TEST_CASE(
    "row_assembler: an error of whoever takes a row goes through, and the row counts as not made") {
  RowAssembler<int> rows({.stack = 2, .step = 2});
  const auto fails = [](const FrameRow<int>&) { fail("test", "no"); };
  rows.add(0, 0, 1, false, fails);
  CHECK_THROWS_WITH_AS(rows.add(1, 1, 2, false, fails), "[test] no", Error);
  CHECK(rows.rows() == 0);
}
