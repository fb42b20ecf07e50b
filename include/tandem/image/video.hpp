#pragma once
/// Videos: frames of any file that FFmpeg decodes as (H, W, 3) bytes, one after the other, by index
/// or by time.
///
///   io::VideoReader reader("clip.mp4", {.fps = 25});
///   io::VideoFrame frame;
///   while (reader.next(frame)) use(frame.rgb, frame.seconds);    // 25 a second, bounded memory
///   for (const std::string& warning : reader.report().warnings) std::puts(warning.c_str());
///
/// This header only declares. The definitions, and FFmpeg's libraries with them, are in
/// src/video_*.cpp:
/// link tandem::video.
///
/// Pixels are those of `ffmpeg -pix_fmt rgb24`, byte for byte: swscale's default conversion, with
/// the matrix and the range (limited or full) that the stream names. Time stamps, the rules of
/// resampling, rotation and what happens to damaged files: see docs/video.md.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// Which source frame becomes output frame k, at t = k / fps.
enum class Resampling {
  nearest,  ///< the one whose time stamp is nearest to t; the earlier one of two equally near
  ffmpeg,   ///< the last one that has begun by t + 1/(2 fps): FFmpeg's filter `fps` (round=near)
};

/// Which stream is read, at which rate, and how.
struct VideoOptions {
  /// Number of the stream, counted over all streams of the file; -1 takes FFmpeg's best video
  /// stream.
  int stream = -1;
  /// Constant rate of the frames that are handed out; 0 hands out every frame as it was decoded.
  double fps = 0;
  Resampling resampling = Resampling::nearest;
  /// Turn and mirror frames as the file's display matrix asks.
  bool rotate = true;
  /// Decoding threads; 0 takes cpu::num_threads(), or fewer where the pictures are too small for so
  /// many.
  int threads = 0;
  /// More than these, width × height, are an error before anything is decoded.
  std::int64_t max_pixels = 178956970;
};

/// What a file says of the stream that is read.
struct VideoInfo {
  int width = 0, height = 0;  ///< of the frames that are handed out, so after rotation
  int rotation = 0;           ///< what the file asks for, clockwise: 0, 90, 180 or 270
  bool mirrored = false;      ///< the display matrix mirrors as well
  double fps = 0;             ///< of the stream, on average; 0 when the file does not say
  double duration = -1;       ///< seconds; -1 when the file does not say
  /// As declared by the container, which may lie; -1 when it does not say
  std::int64_t frames = -1;
  int stream = 0;   ///< number of the stream that is read
  int threads = 1;  ///< decoding threads
  std::string codec, pixel_format, container;
};

/// One frame, and when it is shown.
struct VideoFrame {
  Tensor<std::uint8_t> rgb;  ///< (H, W, 3)
  /// 0, 1, 2 … in the order of presentation, of the output when it is resampled
  std::int64_t index = -1;
  double seconds = 0;         ///< the frame's time stamp, or index / fps when resampled
  double source_seconds = 0;  ///< time stamp of the frame that was decoded
};

/// What a reader has met since the file was opened or last begun anew.
struct VideoReport {
  std::int64_t packets = 0;          ///< packets of the stream that were read
  std::int64_t frames = 0;           ///< frames that were decoded
  std::int64_t skipped_packets = 0;  ///< packets that the decoder refused
  /// Frames that were decoded with errors and are handed out nevertheless. At least these: with
  /// several threads, FFmpeg may notice an error only after it has handed out the frame.
  std::int64_t damaged_frames = 0;
  bool at_end = false;     ///< the end of the stream was reached
  bool truncated = false;  ///< … before the end that the container declares, or amid a packet
  std::vector<std::string> warnings;  ///< sentences, each once; at most 32
  /// Nothing was lost, damaged or guessed so far.
  bool clean() const { return warnings.empty(); }
};

/// One video stream of a file. Not for several threads at once; several readers may run at once.
/// Errors: no such file, not a regular file, empty, no video container, no (or several, none of
/// them that was asked for) video streams, no decoder, too many pixels, nothing decodable at all.
class VideoReader {
 public:
  explicit VideoReader(const std::string& path, const VideoOptions& options = {});
  ~VideoReader();
  VideoReader(VideoReader&&) noexcept;
  VideoReader& operator=(VideoReader&&) noexcept;

  /// What the file says of the stream.
  const VideoInfo& info() const;
  /// What was met so far.
  const VideoReport& report() const;

  /// The next frame, or false at the end. frame.rgb is written in place when it has the right shape
  /// and nobody else holds it, and replaced otherwise. Memory does not grow with the length.
  bool next(VideoFrame& frame);

  /// Frame `index`: the bytes and times of the index-th call of next(), for every file that next()
  /// reads; next() goes on after it. The first visit decodes the frames before it, once; later ones
  /// seek (docs/video.md). Errors: beyond the last frame.
  VideoFrame at_index(std::int64_t index);

  /// The frame whose time stamp is nearest to `seconds`, the earlier one of two; the first or last
  /// one outside the video. When resampled, that is the output frame nearest to it. next() goes on
  /// after it.
  VideoFrame at_time(double seconds);

  /// How many frames next() hands out from the beginning. Reads, and if need be decodes, the whole
  /// file once.
  std::int64_t count_frames();

  /// next() begins with the first frame again.
  void rewind();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace io
TANDEM_NAMESPACE_END
