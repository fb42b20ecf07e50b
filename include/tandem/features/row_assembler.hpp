#pragma once
/// The last stage of extraction: which of the frames that come make a row, and when it ends.
///                                                                                  [method §2, C]
///   RowAssembler<ExtractionFrame> rows(snippets);
///   const auto emit = [&](const FrameRow<ExtractionFrame>& row) { encode(row); };
///   rows.add(frame, seconds, next_seconds, last, emit);       // for each frame
///   rows.finish(emit);
///   rows.timestamps_ms();
///
/// What a frame is, this file does not care: snippets.hpp has the conventions that it follows.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "tandem/features/snippets.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The frames of one row, while it is made.
template <class Frame>
class FrameRow {
 public:
  std::int64_t size() const { return size_; }
  /// Frame i of the row; those that are missing at the video's end repeat its last one.
  const Frame& operator[](std::int64_t i) const { return at(first_ + i); }
  /// The frame before the row, if it is still here: only rows of one frame have one.
  const Frame* before() const { return first_ > window_first_ ? &at(first_ - 1) : nullptr; }

 private:
  template <class>
  friend class RowAssembler;
  FrameRow(const std::deque<Frame>& window, std::int64_t window_first, std::int64_t first,
           std::int64_t size)
      : window_(window), window_first_(window_first), first_(first), size_(size) {}

  const Frame& at(std::int64_t index) const {
    const std::int64_t back = static_cast<std::int64_t>(window_.size()) - 1;
    return window_[static_cast<std::size_t>(
        std::clamp<std::int64_t>(index - window_first_, 0, back))];
  }

  const std::deque<Frame>& window_;
  std::int64_t window_first_, first_, size_;
};

/// Holds the frames of a row and no more. Rows are handed to `emit(row)` in their order, each as
/// soon as its last frame has come.
template <class Frame>
class RowAssembler {
 public:
  explicit RowAssembler(const SnippetOptions& options) : s_(options) { snippet_count(0, s_); }

  /// The next frame, shown from `seconds` to `next_seconds`; `last`: no other follows.
  template <class Emit>
  void add(Frame frame, double seconds, double next_seconds, bool last, const Emit& emit) {
    if (frames_ == 0) first_seconds_ = seconds;
    last_seconds_ = seconds;
    end_seconds_ = next_seconds;
    const std::int64_t index = frames_++;
    window_.push_back(std::move(frame));
    const bool complete = index == rows() * s_.step + s_.stack - 1;
    // Its last flow is missing.
    const bool dropped = last && s_.last_flow == LastFlow::drop && s_.tail == Tail::drop;
    if (complete && !dropped) make(emit);
    forget();
  }

  /// After the last frame: the rows that repeat it, where the options want them.
  template <class Emit>
  void finish(const Emit& emit) {
    if (s_.tail != Tail::repeat) return;
    while (rows() < snippet_count(frames_, s_)) make(emit);
  }

  std::int64_t frames() const { return frames_; }
  std::int64_t rows() const { return static_cast<std::int64_t>(ends_ms_.size()); }
  /// When each row ends, in milliseconds: the time of the frame behind it.
  const std::vector<double>& timestamps_ms() const { return ends_ms_; }
  /// From the first frame to the end of the last.
  double seconds() const { return end_seconds_ - first_seconds_; }

 private:
  template <class Emit>
  void make(const Emit& emit) {
    const std::int64_t first = rows() * s_.step;
    emit(FrameRow<Frame>(window_, window_first_, first, s_.stack));
    // The last frame that has come is the row's last; where it repeats, each time is an interval
    // more.
    const auto repeated = static_cast<double>(first + s_.stack - frames_);
    ends_ms_.push_back(1000 * (end_seconds_ + repeated * (end_seconds_ - last_seconds_)));
  }

  /// Frames before the next row are needed no more, but the last one may have to repeat.
  void forget() {
    while (window_.size() > 1 && window_first_ < rows() * s_.step) {
      window_.pop_front();
      ++window_first_;
    }
  }

  const SnippetOptions s_;
  std::deque<Frame> window_;  // frames window_first_, window_first_ + 1 …
  std::int64_t window_first_ = 0, frames_ = 0;
  double first_seconds_ = 0, last_seconds_ = 0, end_seconds_ = 0;
  std::vector<double> ends_ms_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
