#include "tandem/features/snippets.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "../wtal/test_data.hpp"
#include "tandem/io/npy.hpp"

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// Rows counted one by one: a row is there when all its frames (and the one behind) are.
std::int64_t counted(std::int64_t frames, const SnippetOptions& o) {
  std::int64_t rows = 0;
  if (o.tail == Tail::repeat) {
    // Rows are added until every frame that lies in some row has had its turn.
    for (std::int64_t first = 0; first < frames; first += o.step) {
      ++rows;
      if (first + o.stack >= frames) break;
    }
    return rows;
  }
  const std::int64_t behind = o.last_flow == LastFlow::drop ? 1 : 0;
  for (std::int64_t first = 0; first + o.stack + behind <= frames; first += o.step) ++rows;
  return rows;
}

}  // namespace

TEST_CASE("snippets: the field's default gives n/16 rows, a short video none") {
  for (std::int64_t n = 0; n < 200; ++n) CHECK(snippet_count(n) == n / 16);
  CHECK(snippet_count(15) == 0);
  CHECK(snippet_count(15, {.tail = Tail::repeat}) == 1);
  CHECK(snippet_count(0, {.tail = Tail::repeat}) == 0);
}

TEST_CASE("snippets: row counts are those of rows laid out one by one") {
  for (const Tail tail : {Tail::drop, Tail::repeat}) {
    for (const LastFlow last : {LastFlow::repeat, LastFlow::drop}) {
      for (std::int64_t stack : {1, 7, 16, 24}) {
        for (std::int64_t step : {1, 5, 16, 24, 31}) {
          const SnippetOptions o{.stack = stack, .step = step, .tail = tail, .last_flow = last};
          for (std::int64_t n = 0; n < 130; ++n) {
            CAPTURE(stack);
            CAPTURE(step);
            CAPTURE(n);
            REQUIRE(snippet_count(n, o) == counted(n, o));
          }
        }
      }
    }
  }
}

TEST_CASE("snippets: the published features of v_GGSY1Qvo990") {
  // 355 frames at 19.62 per second, 18.09 s: about 452 frames at 25, 271 at 15. What stands in the
  // files holds for every count of frames that resampling may give.
  struct Case {
    std::int64_t stack, step;
    double fps;
    std::int64_t rows, from, to;
    const char* name;
  };
  for (const Case& c :
       {Case{24, 24, 25, 18, 450, 453, "24_24_25"}, Case{24, 12, 15, 21, 269, 273, "24_12_15"}}) {
    for (const LastFlow last : {LastFlow::repeat, LastFlow::drop}) {
      const SnippetOptions o{.stack = c.stack, .step = c.step, .fps = c.fps, .last_flow = last};
      for (std::int64_t n = c.from; n <= c.to; ++n) CHECK(snippet_count(n, o) == c.rows);
    }
    const std::string file = tandem_test::test_data(concat(
        "i3d/features_v_GGSY1Qvo990/v_GGSY1Qvo990_None_raft_", c.name, "_timestamps_ms.npy"));
    if (file.empty()) continue;
    const Tensor<double> published = io::load_npy(file).tensor_as<double>();
    REQUIRE(published.numel() == c.rows);
    for (std::int64_t row = 0; row < c.rows; ++row) {
      CHECK(snippet_end_ms(row, c.fps, {.stack = c.stack, .step = c.step}) ==
            doctest::Approx(published.data()[row]).epsilon(1e-12));
    }
  }
}

TEST_CASE("snippets: the published convention needs one frame more than RGB") {
  const SnippetOptions drop{.stack = 24, .step = 24, .last_flow = LastFlow::drop};
  CHECK(snippet_count(24, drop) == 0);
  CHECK(snippet_count(25, drop) == 1);
  CHECK(snippet_count(48, drop) == 1);
  CHECK(snippet_count(49, drop) == 2);
}

TEST_CASE("snippets: the frames that CLIP sees") {
  using Offsets = std::vector<std::int64_t>;
  CHECK(clip_offsets(16) == Offsets{8});
  CHECK(clip_offsets(16, 4) == Offsets{2, 6, 10, 14});
  CHECK(clip_offsets(15, 3) == Offsets{2, 7, 12});
  CHECK(clip_offsets(1) == Offsets{0});
  CHECK(clip_offsets(3, 3) == Offsets{0, 1, 2});
  CHECK_THROWS_WITH_AS(clip_offsets(4, 5),
                       "[snippets] CLIP sees 1 to 4 frames of a row of 4, not 5", Error);
  for (std::int64_t frame = 0; frame < 64; ++frame)
    CHECK(clip_sees(frame, {8}, {}) == (frame % 16 == 8));
  CHECK_FALSE(clip_sees(8, {12}, {.step = 4}));  // no row begins before the first frame
  CHECK(clip_sees(12, {12}, {.step = 4}));
  CHECK(frame_is_used(16, {.stack = 8, .step = 20}) == false);
  CHECK(frame_is_used(20, {.stack = 8, .step = 20}));
}

TEST_CASE("snippets: errors") {
  CHECK_THROWS_WITH_AS(snippet_count(5, {.stack = 0}),
                       "[snippets] a row has 1 to 4096 frames and the next begins 1 to 4096 frames "
                       "later, got a stack of 0 and a step of 16",
                       Error);
  CHECK_THROWS_AS(snippet_count(-1), Error);
  CHECK_THROWS_WITH_AS(snippet_end_ms(0, 0), "[snippets] time stamps need a frame rate", Error);
}
