#pragma once
// What the definitions of tandem/image/video.hpp share: FFmpeg's objects as C++ ones. Not
// installed.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tandem/image/video.hpp"
#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {

struct FormatCloser {
  void operator()(AVFormatContext* p) const { avformat_close_input(&p); }
};
struct CodecFreer {
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
};
struct FrameFreer {
  void operator()(AVFrame* p) const { av_frame_free(&p); }
};
struct PacketFreer {
  void operator()(AVPacket* p) const { av_packet_free(&p); }
};
struct ScalerFreer {
  void operator()(SwsContext* p) const { sws_freeContext(p); }
};
using FormatPtr = std::unique_ptr<AVFormatContext, FormatCloser>;
using CodecPtr = std::unique_ptr<AVCodecContext, CodecFreer>;
using FramePtr = std::unique_ptr<AVFrame, FrameFreer>;
using PacketPtr = std::unique_ptr<AVPacket, PacketFreer>;
using ScalerPtr = std::unique_ptr<SwsContext, ScalerFreer>;

FramePtr new_frame();
PacketPtr new_packet();
/// FFmpeg's words for an error code.
std::string error_text(int code);

// --- FFmpeg's log ----------------------------------------------------------------------------

/// Takes what FFmpeg would print about one reader: distinct lines, a bounded number of them.
class LogSink {
 public:
  LogSink();
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  void add(std::string line);
  /// The lines since the last call.
  std::vector<std::string> take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// While it lives, FFmpeg's messages on this thread go to `sink`. Those of a decoder's own threads
/// are recognised by AVCodecContext::opaque, which is the sink.
class LogScope {
 public:
  explicit LogScope(LogSink& sink);

 private:
  const tandem::detail::Restore<LogSink*> outer_;
};

// --- packets -----------------------------------------------------------------------------------

/// An opened file and the chosen stream of it.
class Demuxer {
 public:
  Demuxer(const std::string& path, const VideoOptions& options, LogSink& log);

  AVFormatContext* format() const { return format_.get(); }
  AVStream* stream() const { return stream_; }
  /// Time zero in units of the stream's time base: the file's start if that is positive.
  std::int64_t origin() const { return origin_; }

  /// The next packet of the stream; false at the end or where the file cannot be read any further.
  bool read(AVPacket& packet);
  /// To the last key frame at or before `timestamp`; false when the container cannot.
  bool seek(std::int64_t timestamp);

  /// The read errors so far and the last one.
  int errors = 0;
  int last_error = 0;
  bool short_packet = false;

 private:
  [[noreturn]] void no_stream(const std::string& problem) const;

  std::string path_;
  FormatPtr format_;
  AVStream* stream_ = nullptr;
  std::int64_t origin_ = 0;
};

// --- frames --------------------------------------------------------------------------------------

/// Decoded frames in the order of presentation, from the beginning or from a key frame.
class Decoder {
 public:
  Decoder(const std::string& path, const VideoOptions& options, LogSink& log);

  const Demuxer& demuxer() const { return *demuxer_; }
  const AVCodecContext& codec() const { return *codec_; }

  /// The next frame; false at the end.
  bool read(AVFrame& frame, VideoReport& report);
  /// Goes on at the last key frame at or before `timestamp`; false when the container cannot.
  bool seek(std::int64_t timestamp);
  /// The time stamp to seek to for a key frame that was just read: that of decoding of its packet,
  /// as far as it can be told.
  std::int64_t seek_stamp(const AVFrame& key_frame);

 private:
  struct KeyPacket {
    std::int64_t pts, dts;
  };
  bool feed(VideoReport& report);

  std::unique_ptr<Demuxer> demuxer_;
  CodecPtr codec_;
  PacketPtr packet_ = new_packet();
  std::deque<KeyPacket> keys_;  // read, and not yet known to be frames
  std::int64_t fruitless_ = 0;
  bool draining_ = false;
};

// --- pixels ------------------------------------------------------------------------------------

/// How the picture on the screen comes from the stored one: transposed first, then mirrored.
struct Orientation {
  bool transpose = false, flip_x = false, flip_y = false;
  int degrees = 0;  ///< clockwise
  bool mirrored = false;
  bool odd_angle = false;  ///< not a multiple of 90 degrees: nothing is applied
  bool identity() const { return !transpose && !flip_x && !flip_y; }
};
Orientation orientation_of(const AVStream& stream);

/// Frames to RGB as `ffmpeg -pix_fmt rgb24` does it. Frames of another size than the first are
/// scaled.
class Converter {
 public:
  Converter(int width, int height, const Orientation& orientation);

  /// Shape of the result.
  Shape shape() const;
  /// True if this frame's size differs from the one that the frames are brought to.
  bool scales(const AVFrame& frame) const {
    return frame.width != width_ || frame.height != height_;
  }
  void convert(const AVFrame& frame, std::uint8_t* rgb);

 private:
  void prepare(const AVFrame& frame);

  int width_, height_;
  Orientation orientation_;
  ScalerPtr scaler_;
  FramePtr scratch_;
  int source_width_ = 0, source_height_ = 0, source_format_ = -1;
};

}  // namespace io::video
TANDEM_NAMESPACE_END
