#pragma once
/// Which frames make which feature row, and when a row ends.                         [method §2, C]
///
///   row r holds frames [r·step, r·step + stack);  n frames → ⌊(n − stack)/step⌋ + 1 rows
///
/// With the field's defaults (16 frames at 25 per second, no overlap) that is ⌊n/16⌋ rows of 0.64
/// s.
///
/// Flow is between two frames: flow i leads from frame i to frame i + 1, and a row has `stack` of
/// them, so its last one needs the frame behind the row. Two conventions exist for a row that ends
/// with the video:
///   LastFlow::repeat  the row stays, its last flow is the one before it once more; RGB, flow and
///   CLIP have
///                     ⌊n/16⌋ rows alike (reading; the default);
///   LastFlow::drop    the row is left out of every stream: n frames → ⌊(n − 1 − stack)/step⌋ + 1
///   rows, the
///                     convention of the published features of v_GGSY1Qvo990 (stack 24).
///
/// The time stamp of a row is that of the frame behind it, (r·step + stack)/fps: where the row
/// ends. That is how those published files count: 960, 1920 … ms for stack 24, step 24 at 25 per
/// second.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Seconds of a feature row where nothing says otherwise: 16 frames at 25 per second, as the
/// field's published features have it. Every default of the library is this constant.
inline constexpr double conventional_seconds_per_row = 16.0 / 25;

/// What becomes of frames at the end that fill no row.
enum class Tail {
  drop,    ///< they are left out; a video shorter than a row has no row  [C]
  repeat,  ///< one more row: its missing frames and flows repeat the last ones
};
enum class LastFlow { repeat, drop };

/// How frames are cut into rows.
struct SnippetOptions {
  std::int64_t stack = 16;  ///< frames of a row  [C]
  std::int64_t step = 16;   ///< frames from one row to the next  [C]
  double fps = 25;          ///< the video is resampled to this; 0: frames as they are  [C]
  Tail tail = Tail::drop;
  LastFlow last_flow = LastFlow::repeat;
};

namespace detail {
inline void check_snippets(const SnippetOptions& o) {
  TANDEM_CHECK(
      o.stack >= 1 && o.stack <= 4096 && o.step >= 1 && o.step <= 4096, "snippets",
      "a row has 1 to 4096 frames and the next begins 1 to 4096 frames later, got a stack of ",
      o.stack, " and a step of ", o.step);
  TANDEM_CHECK(o.fps >= 0 && o.fps <= 1000, "snippets",
               "expected 0 to 1000 frames per second, got ", o.fps);
}
}  // namespace detail

/// Rows of a video of `frames` frames.
///   snippet_count(451, {.stack = 24, .step = 24});   // → 18
///   snippet_count(15);                               // → 0
inline std::int64_t snippet_count(std::int64_t frames, const SnippetOptions& o = {}) {
  detail::check_snippets(o);
  TANDEM_CHECK(frames >= 0, "snippets", "a video cannot have ", frames, " frames");
  if (o.tail == Tail::repeat) {
    if (frames == 0) return 0;
    // The last row is the first that reaches the end; with a step beyond the stack none may begin
    // behind it.
    const std::int64_t reaching =
        frames <= o.stack ? 1 : (frames - o.stack + o.step - 1) / o.step + 1;
    return std::min(reaching, (frames + o.step - 1) / o.step);
  }
  const std::int64_t needed = o.stack + (o.last_flow == LastFlow::drop ? 1 : 0);
  return frames < needed ? 0 : (frames - needed) / o.step + 1;
}

/// When row `row` ends, in milliseconds, where frames are equally far apart.
inline double snippet_end_ms(std::int64_t row, double fps, const SnippetOptions& o = {}) {
  TANDEM_CHECK(fps > 0, "snippets", "time stamps need a frame rate");
  return 1000.0 * static_cast<double>(row * o.step + o.stack) / fps;
}

/// Whether frame `frame` lies in any row: with a step longer than the stack some do not.
inline bool frame_is_used(std::int64_t frame, const SnippetOptions& o) {
  return frame % o.step < o.stack;
}

/// The frames of a row, counted from its first, that CLIP sees: the middles of `count` equal parts,
/// ⌊(2i + 1)·stack/(2·count)⌋; one is the middle frame.
/// (reading)
///   clip_offsets(16, 1);   // → {8}
///   clip_offsets(16, 4);   // → {2, 6, 10, 14}
inline std::vector<std::int64_t> clip_offsets(std::int64_t stack, std::int64_t count = 1) {
  TANDEM_CHECK(count >= 1 && count <= stack, "snippets", "CLIP sees 1 to ", stack,
               " frames of a row of ", stack, ", not ", count);
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; i < count; ++i) offsets.push_back((2 * i + 1) * stack / (2 * count));
  return offsets;
}

/// Whether CLIP sees frame `frame` for some row.
inline bool clip_sees(std::int64_t frame, const std::vector<std::int64_t>& offsets,
                      const SnippetOptions& o) {
  for (const std::int64_t offset : offsets) {
    if (frame >= offset && (frame - offset) % o.step == 0) return true;
  }
  return false;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
