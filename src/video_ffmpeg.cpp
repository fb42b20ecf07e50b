// The definitions of tandem/image/video.hpp over FFmpeg: which frame comes next. Files and decoders
// are in video_decoder.cpp, pixels in video_convert.cpp.

extern "C" {
#include <libavutil/mathematics.h>
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <cmath>
#include <utility>

#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "video_decoder.hpp"
#include "video_frames.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

using namespace video;

class VideoReader::Impl {
 public:
  Impl(const std::string& path, const VideoOptions& options)
      : path_(path), options_(options), source_(path, checked(options), report_) {
    if (options.fps > 0) rate_ = av_d2q(options.fps, 1001000);
    const AVStream& stream = *source_.demuxer().stream();
    Orientation way = orientation_of(stream);
    const AVCodecParameters& parameters = *stream.codecpar;
    if (way.odd_angle)
      source_.warn(
          "The file asks for a rotation that is no multiple of 90 degrees; it is ignored.");
    info_.rotation = way.degrees;
    info_.mirrored = way.mirrored;
    if (!options.rotate) way = Orientation{};
    converter_ = std::make_unique<Converter>(parameters.width, parameters.height, way);
    const Shape shape = converter_->shape();
    info_.height = static_cast<int>(shape[0]);
    info_.width = static_cast<int>(shape[1]);
    describe(stream, parameters);
  }

  const VideoInfo& info() const { return info_; }
  const VideoReport& report() const { return report_; }

  bool next(VideoFrame& frame) {
    const LogScope scope(source_.log());
    if (!advance()) return false;
    hand_out(frame);
    return true;
  }

  VideoFrame at_index(std::int64_t index) {
    TANDEM_CHECK(index >= 0, "read_video", path_, ": frame ", index, " was asked for");
    const LogScope scope(source_.log());
    const std::int64_t count = shown_ == index ? index + 1
                               : resampled()   ? go_to_output(index)
                                               : go_to(index);
    TANDEM_CHECK(index < count, "read_video", path_, ": frame ", index,
                 " was asked for, the video has ", count, " frames",
                 resampled() ? concat(" at ", options_.fps, " a second") : std::string());
    VideoFrame frame;
    hand_out(frame);
    return frame;
  }

  VideoFrame at_time(double seconds) {
    TANDEM_CHECK(is_finite(seconds), "read_video", path_, ": a finite time was expected, got ",
                 seconds);
    const LogScope scope(source_.log());
    if (resampled()) {
      const double wanted = std::ceil(std::max(0.0, seconds * av_q2d(rate_)) - 0.5);
      const std::int64_t index =
          wanted < 1e15 ? static_cast<std::int64_t>(wanted) : std::int64_t{1} << 50;
      const std::int64_t count = go_to_output(index);
      if (index >= count) go_to_output(count - 1);  // beyond the end, the last one
    } else {
      const double ticks = seconds / av_q2d(source_.time_base());
      settle([&](std::int64_t first, std::int64_t second) {
        return 2 * ticks > static_cast<double>(first) + static_cast<double>(second);
      });
      shown_ = held_.index, next_ = shown_ + 1;
    }
    VideoFrame frame;
    hand_out(frame);
    return frame;
  }

  std::int64_t count_frames() {
    if (count_ < 0 && source_.list().complete) {
      count_ = resampled() ? output_count(source_.list().end) : source_.list().size();
    }
    if (count_ < 0) {
      Impl other(path_, options_);
      const LogScope scope(other.source_.log());
      while (other.advance()) {
      }
      count_ = other.next_;
    }
    return count_;
  }

  void rewind() {
    source_.restart();
    held_.reset(), ahead_.reset();
    next_ = 0, shown_ = -1;
  }

 private:
  static const VideoOptions& checked(const VideoOptions& options) {
    TANDEM_CHECK(options.stream >= -1, "read_video", "stream must be a number, or -1, got ",
                 options.stream);
    TANDEM_CHECK(options.fps == 0 || (options.fps >= 0.001 && options.fps <= 1000), "read_video",
                 "fps must be 0 or from 0.001 to 1000, got ", options.fps);
    TANDEM_CHECK(options.threads >= 0 && options.threads <= cpu::max_threads, "read_video",
                 "threads must be from 0 to ", cpu::max_threads, ", got ", options.threads);
    TANDEM_CHECK(options.max_pixels > 0, "read_video", "max_pixels must be positive, got ",
                 options.max_pixels);
    return options;
  }

  void describe(const AVStream& stream, const AVCodecParameters& parameters) {
    if (stream.avg_frame_rate.num > 0 && stream.avg_frame_rate.den > 0)
      info_.fps = av_q2d(stream.avg_frame_rate);
    const AVFormatContext& format = *source_.demuxer().format();
    if (stream.duration > 0) {
      info_.duration = static_cast<double>(stream.duration) * av_q2d(stream.time_base);
    } else if (format.duration > 0) {
      info_.duration = static_cast<double>(format.duration) / AV_TIME_BASE;
    }
    if (stream.nb_frames > 0) info_.frames = stream.nb_frames;
    info_.stream = stream.index;
    info_.threads = source_.threads();
    info_.codec = avcodec_get_name(parameters.codec_id);
    const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(parameters.format));
    info_.pixel_format = name != nullptr ? name : "unknown";
    info_.container = format.iformat->name;
  }

  bool resampled() const { return rate_.num > 0; }

  /// True if output frame k is `second` rather than `first`, its predecessor.
  bool supersedes(std::int64_t first, std::int64_t second, std::int64_t k) const {
    const AVRational tick = av_inv_q(rate_), base = source_.time_base();
    if (options_.resampling == Resampling::ffmpeg) {
      return av_rescale_q_rnd(second, base, tick, AV_ROUND_NEAR_INF) <= k;
    }
    return av_compare_ts(2 * k, tick, first + second, base) >
           0;  // t is beyond the middle between them
  }

  /// The number of output frames of a source that ends at `end`.
  std::int64_t output_count(std::int64_t end) const {
    return std::max<std::int64_t>(
        1, av_rescale_q_rnd(end, source_.time_base(), av_inv_q(rate_), AV_ROUND_NEAR_INF));
  }

  /// Makes held_ the source of output frame next_ and steps on; false at the end.
  bool advance() {
    shown_ = -1;
    if (!resampled()) {
      if (ahead_.valid) {
        step();
      } else if (!source_.pull(held_)) {
        return false;
      }
      shown_ = held_.index, next_ = shown_ + 1;
      return true;
    }
    if (!held_.valid && !source_.pull(held_)) return false;
    while (ahead_.valid || source_.pull(ahead_)) {
      if (!supersedes(held_.pts, ahead_.pts, next_)) break;
      step();
    }
    if (!ahead_.valid && next_ >= output_count(held_.end)) return false;
    shown_ = next_++;
    return true;
  }

  void step() {
    std::swap(held_, ahead_);
    ahead_.reset();
  }

  /// Makes held_ the frame `index` of the source; false when the video ends before it.
  bool take(std::int64_t index) {
    if (held_.valid && held_.index == index) return true;
    if (ahead_.valid && ahead_.index == index) {
      step();
      return true;
    }
    ahead_.reset();
    return source_.fetch(index, held_);
  }

  /// Frame `index` without resampling. Returns a number of frames above index, or that of all
  /// frames.
  std::int64_t go_to(std::int64_t index) {
    shown_ = -1;
    if (!take(index)) return source_.count();
    shown_ = index, next_ = index + 1;
    return next_;
  }

  /// Makes held_ the last frame that supersedes its predecessor: rule(stamp, next stamp) is true up
  /// to some frame and false from there on.
  template <class Rule>
  void settle(const Rule& rule) {
    shown_ = -1;
    if (source_.remember()) held_.reset(), ahead_.reset();
    const FrameList& list = source_.list();
    const std::size_t known = list.pts.size();
    if (known > 0 &&
        (list.complete || (known > 1 && !rule(list.pts[known - 2], list.pts[known - 1])))) {
      std::size_t low = 0, high = known - 1;
      while (low < high) {
        const std::size_t middle = (low + high + 1) / 2;
        if (rule(list.pts[middle - 1], list.pts[middle])) {
          low = middle;
        } else {
          high = middle - 1;
        }
      }
      again(static_cast<std::int64_t>(low));
      return;
    }
    // It is the last one that is known, or comes behind it.
    if (known > 0) {
      again(static_cast<std::int64_t>(known) - 1);
    } else {
      ahead_.reset();
      TANDEM_CHECK(source_.pull(held_), "read_video", path_, ": no frame can be decoded");
    }
    while (ahead_.valid || source_.pull(ahead_)) {
      if (!rule(held_.pts, ahead_.pts)) break;
      step();
    }
  }

  /// A frame that was decoded before.
  void again(std::int64_t index) {
    TANDEM_CHECK(take(index), "read_video", path_, ": frame ", index,
                 " cannot be decoded any more; the file has changed while it was being read");
  }

  /// Output frame `index` of a resampled video. Returns a number of frames above index, or that of
  /// all frames.
  std::int64_t go_to_output(std::int64_t index) {
    const std::int64_t bounded = std::min(index, std::int64_t{1} << 50);
    settle([&](std::int64_t first, std::int64_t second) {
      return supersedes(first, second, bounded);
    });
    if (source_.list().complete && held_.index + 1 == source_.list().size()) {
      if (const std::int64_t count = output_count(held_.end); index >= count) {
        next_ = count;  // next() is at the end
        return count;
      }
    }
    shown_ = index, next_ = index + 1;
    return next_;
  }

  void hand_out(VideoFrame& frame) {
    const Shape shape = converter_->shape();
    if (!(frame.rgb.defined() && frame.rgb.is_contiguous() && frame.rgb.is_unshared() &&
          frame.rgb.shape() == shape)) {
      frame.rgb = Tensor<std::uint8_t>(shape);
    }
    if (converter_->scales(*held_.frame)) {
      source_.warn(
          "The size of the pictures changes within the video; they are scaled to that of the "
          "first.");
    }
    converter_->convert(*held_.frame, frame.rgb.mutable_data());
    frame.index = shown_;
    frame.source_seconds = static_cast<double>(held_.pts) * av_q2d(source_.time_base());
    frame.seconds = resampled() ? static_cast<double>(frame.index) * rate_.den / rate_.num
                                : frame.source_seconds;
  }

  std::string path_;
  VideoOptions options_;
  VideoInfo info_;
  VideoReport report_;
  Source source_;
  std::unique_ptr<Converter> converter_;
  AVRational rate_{0, 1};
  Picture held_, ahead_;     // ahead_: read already, not yet due; only when resampled
  std::int64_t next_ = 0;    // the output frame that next() hands out
  std::int64_t shown_ = -1;  // the output frame whose source is held_, or -1
  std::int64_t count_ = -1;
};

VideoReader::VideoReader(const std::string& path, const VideoOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {}
VideoReader::~VideoReader() = default;
VideoReader::VideoReader(VideoReader&&) noexcept = default;
VideoReader& VideoReader::operator=(VideoReader&&) noexcept = default;

const VideoInfo& VideoReader::info() const { return impl_->info(); }
const VideoReport& VideoReader::report() const { return impl_->report(); }
bool VideoReader::next(VideoFrame& frame) { return impl_->next(frame); }
VideoFrame VideoReader::at_index(std::int64_t index) { return impl_->at_index(index); }
VideoFrame VideoReader::at_time(double seconds) { return impl_->at_time(seconds); }
std::int64_t VideoReader::count_frames() { return impl_->count_frames(); }
void VideoReader::rewind() { impl_->rewind(); }

}  // namespace io
TANDEM_NAMESPACE_END
