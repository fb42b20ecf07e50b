// The definitions of tandem/io/video.hpp over FFmpeg: which frame comes next. Files and decoders are in
// video_decoder.cpp, pixels in video_convert.cpp.

extern "C" {
#include <libavutil/mathematics.h>
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <cmath>
#include <utility>

#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/error.hpp"
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
    if (way.odd_angle) source_.warn("The file asks for a rotation that is no multiple of 90 degrees; it is ignored.");
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
    go_to(index);
    VideoFrame frame;
    hand_out(frame);
    return frame;
  }

  VideoFrame at_time(double seconds) {
    TANDEM_CHECK(std::isfinite(seconds), "read_video", path_, ": a finite time was expected, got ", seconds);
    const LogScope scope(source_.log());
    if (rate_.num > 0) {
      // Beyond the end, the last one.
      const double wanted = std::ceil(std::max(0.0, seconds * av_q2d(rate_)) - 0.5);
      go_to(std::min(wanted, 9e15) < 9e15 ? static_cast<std::int64_t>(wanted) : std::int64_t{9} << 50, true);
    } else {
      go_to_time(seconds);
    }
    VideoFrame frame;
    hand_out(frame);
    return frame;
  }

  std::int64_t count_frames() {
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
    next_ = 0;
  }

 private:
  static const VideoOptions& checked(const VideoOptions& options) {
    TANDEM_CHECK(options.stream >= -1, "read_video", "stream must be a number, or -1, got ", options.stream);
    TANDEM_CHECK(options.fps == 0 || (options.fps >= 0.001 && options.fps <= 1000), "read_video",
                 "fps must be 0 or from 0.001 to 1000, got ", options.fps);
    TANDEM_CHECK(options.threads >= 0 && options.threads <= cpu::max_threads, "read_video",
                 "threads must be from 0 to ", cpu::max_threads, ", got ", options.threads);
    TANDEM_CHECK(options.max_pixels > 0, "read_video", "max_pixels must be positive, got ", options.max_pixels);
    return options;
  }

  void describe(const AVStream& stream, const AVCodecParameters& parameters) {
    if (stream.avg_frame_rate.num > 0 && stream.avg_frame_rate.den > 0) info_.fps = av_q2d(stream.avg_frame_rate);
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
    return av_compare_ts(2 * k, tick, first + second, base) > 0;  // t is beyond the middle between them
  }

  /// The number of output frames of a source that ends at `end`.
  std::int64_t output_count(std::int64_t end) const {
    return std::max<std::int64_t>(
        1, av_rescale_q_rnd(end, source_.time_base(), av_inv_q(rate_), AV_ROUND_NEAR_INF));
  }

  /// Makes held_ the source of output frame next_ and steps on; false at the end.
  bool advance() {
    if (!resampled()) {
      if (!source_.pull(held_)) return false;
      next_ = held_.index + 1;
      return true;
    }
    if (!held_.valid && !source_.pull(held_)) return false;
    while (ahead_.valid || source_.pull(ahead_)) {
      if (!supersedes(held_.pts, ahead_.pts, next_)) break;
      std::swap(held_, ahead_);
      ahead_.reset();
    }
    if (!ahead_.valid && next_ >= output_count(held_.end)) return false;
    ++next_;
    return true;
  }

  /// Makes held_ the source of output frame `index` (with `or_last`: or the last one before it).
  void go_to(std::int64_t index, bool or_last = false) {
    if (held_.valid && next_ == index + 1) return;
    const FrameList& list = source_.list();
    if (list.trusted && jump(list, index, or_last)) return;
    if (index < next_ || source_.sought()) rewind();
    bool found = false;
    while (next_ <= index && advance()) found = true;
    if (next_ > index) return;
    if (or_last && (found || held_.valid)) return;
    if (or_last && next_ > 0) {  // the end was behind us already
      rewind();
      while (advance()) {
      }
      return;
    }
    fail("read_video", path_, ": frame ", index, " was asked for, the video has ", next_, " frames",
         resampled() ? concat(" at ", options_.fps, " a second") : std::string());
  }

  /// By the container's list of frames; false when decoding has shown that it is wrong.
  bool jump(const FrameList& list, std::int64_t index, bool or_last) {
    std::int64_t wanted = index, count = list.size();
    if (resampled()) count = output_count(list.end);
    if (index >= count) {
      if (!or_last) return false;  // decoded to the end, in case there are more
      index = count - 1, wanted = index;
    }
    if (resampled()) {
      // The last source frame that supersedes its predecessor.
      std::int64_t low = 0, high = list.size() - 1;
      while (low < high) {
        const std::int64_t middle = (low + high + 1) / 2;
        if (supersedes(list.at(middle - 1), list.at(middle), index)) {
          low = middle;
        } else {
          high = middle - 1;
        }
      }
      wanted = low;
    }
    if (resampled() && ahead_.valid && ahead_.index == wanted) {
      std::swap(held_, ahead_);
      ahead_.reset();
    } else if (!(held_.valid && held_.index == wanted)) {
      ahead_.reset();
      if (!source_.pull_at(wanted, held_)) {
        rewind();
        return false;
      }
    }
    next_ = index + 1;
    return true;
  }

  void go_to_time(double seconds) {
    const AVRational base = source_.time_base();
    const double ticks = seconds / av_q2d(base);
    const FrameList& list = source_.list();
    const auto nearer = [&](std::int64_t first, std::int64_t second) {
      return 2 * ticks > static_cast<double>(first) + static_cast<double>(second);
    };
    if (list.trusted) {
      std::int64_t low = 0, high = list.size() - 1;
      while (low < high) {
        const std::int64_t middle = (low + high + 1) / 2;
        if (nearer(list.at(middle - 1), list.at(middle))) {
          low = middle;
        } else {
          high = middle - 1;
        }
      }
      if (jump(list, low, true)) return;
    }
    rewind();
    Picture following;
    if (!source_.pull(held_)) fail("read_video", path_, ": no frame can be decoded");
    while (source_.pull(following) && nearer(held_.pts, following.pts)) std::swap(held_, following);
    const std::int64_t index = held_.index;  // one frame too many was read: back to it
    rewind();
    while (next_ <= index && advance()) {
    }
  }

  void hand_out(VideoFrame& frame) {
    const Shape shape = converter_->shape();
    if (!(frame.rgb.defined() && frame.rgb.is_contiguous() && frame.rgb.is_unshared() && frame.rgb.shape() == shape)) {
      frame.rgb = Tensor<std::uint8_t>(shape);
    }
    if (converter_->scales(*held_.frame)) {
      source_.warn("The size of the pictures changes within the video; they are scaled to that of the first.");
    }
    converter_->convert(*held_.frame, frame.rgb.mutable_data());
    frame.index = next_ - 1;
    frame.source_seconds = static_cast<double>(held_.pts) * av_q2d(source_.time_base());
    frame.seconds = resampled() ? static_cast<double>(frame.index) * rate_.den / rate_.num : frame.source_seconds;
  }

  std::string path_;
  VideoOptions options_;
  VideoInfo info_;
  VideoReport report_;
  Source source_;
  std::unique_ptr<Converter> converter_;
  AVRational rate_{0, 1};
  Picture held_, ahead_;       // ahead_: read already, not yet due; only when resampled
  std::int64_t next_ = 0;      // the output frame that next() hands out
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
