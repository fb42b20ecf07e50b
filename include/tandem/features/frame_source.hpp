#pragma once
/// The first stage of extraction: decoded frames, cut and resized for each stream.  [method §2, §9]
///
///   FrameSource source(options, {.rgb = true, .flow = true}, fps, clock,
///                      [&](io::VideoFrame& frame) { return reader.next(frame); });
///   while (std::optional<ExtractionFrame> frame = source.next()) …

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "tandem/clip/preprocess.hpp"
#include "tandem/features/extraction_frame.hpp"
#include "tandem/features/snippets.hpp"
#include "tandem/image/gray.hpp"
#include "tandem/image/resize_and_crop.hpp"
#include "tandem/image/video.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Frames in their order, each with what it needs of the one behind it: the grey picture that flow
/// leads to, and its time. So a frame is given when the next one has come, or the end.
class FrameSource {
 public:
  /// What frames are given as: cut and resized for each stream, or the decoded picture alone, for a
  /// GPU to do the rest (device_frames.hpp).
  enum class Pictures { prepared, whole };

  /// Fills in the next decoded frame; false at the end. It is asked no more then.
  using Decode = std::function<bool(io::VideoFrame&)>;

  /// `fps` is the video's own rate, which says how long the last frame is shown where the frames
  /// are not resampled; 0: unknown, it ends when it begins.
  FrameSource(const ExtractionOptions& options, Streams streams, double fps, StageClock& clock,
              Decode decode, Pictures pictures = Pictures::prepared)
      : o_(options),
        s_(options.snippets),
        streams_(streams),
        fps_(s_.fps > 0 ? s_.fps : fps),
        offsets_(clip_offsets(s_.stack, options.clip_frames)),
        clock_(clock),
        decode_(std::move(decode)),
        whole_(pictures == Pictures::whole) {}

  /// The next frame, nothing at the end. Errors: those of decoding.
  std::optional<ExtractionFrame> next() {
    if (!held_) held_ = read();
    if (!held_) return std::nullopt;
    std::optional<ExtractionFrame> behind = read();
    {
      const StageTimer timer(clock_.prepare);
      complete(*held_, behind ? &*behind : nullptr);
    }
    return std::exchange(held_, std::move(behind));
  }

 private:
  std::optional<ExtractionFrame> read() {
    if (ended_) return std::nullopt;
    {
      const StageTimer timer(clock_.decode);
      ended_ = !decode_(picture_);
    }
    if (ended_) return std::nullopt;
    const StageTimer timer(clock_.prepare);
    return prepare(picture_);
  }

  ExtractionFrame prepare(const io::VideoFrame& picture) const {
    ExtractionFrame frame;
    frame.index = picture.index;
    frame.seconds = picture.seconds;
    if (whole_) {
      frame.picture = picture.rgb;
      return frame;
    }
    if (streams_.rgb && frame_is_used(frame.index, s_)) {
      frame.crop = io::resize_and_crop(picture.rgb, o_.i3d.size, o_.i3d.crop, o_.i3d.filter);
    }
    if (streams_.flow) {
      const io::ImageSize size =
          io::resized_size(picture.rgb.size(0), picture.rgb.size(1), o_.flow_size);
      frame.gray = io::rgb_to_gray(io::resize(picture.rgb, size.height, size.width, o_.i3d.filter));
    }
    if (streams_.clip) {
      if (clip_sees(frame.index, offsets_, s_)) {
        frame.clip = clip::preprocess(picture.rgb, o_.clip);
      } else if (s_.tail == Tail::repeat) {
        frame.picture = picture.rgb;
      }
    }
    return frame;
  }

  void complete(ExtractionFrame& frame, const ExtractionFrame* behind) const {
    frame.last = behind == nullptr;
    if (behind != nullptr) {
      frame.next_gray = behind->gray;
      frame.next_seconds = behind->seconds;
    } else {
      frame.next_seconds = frame.seconds + (fps_ > 0 ? 1 / fps_ : 0);
      // What repeats at the end is the last frame, which CLIP may see then.
      if (frame.picture.defined() && !whole_) frame.clip = clip::preprocess(frame.picture, o_.clip);
    }
    if (!whole_) frame.picture = {};
  }

  const ExtractionOptions o_;
  const SnippetOptions& s_;  // of o_
  const Streams streams_;
  const double fps_;
  const std::vector<std::int64_t> offsets_;
  StageClock& clock_;
  const Decode decode_;
  const bool whole_;
  io::VideoFrame picture_;
  std::optional<ExtractionFrame> held_;
  bool ended_ = false;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
