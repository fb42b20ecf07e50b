// The definitions of tandem/image/video_writer.hpp: swscale, an encoder and a muxer of FFmpeg's,
// into an AtomicFile.

#include "tandem/image/video_writer.hpp"

extern "C" {
#include <libavutil/mathematics.h>
#include <libavutil/opt.h>
}

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/file.hpp"
#include "video_decoder.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {
namespace video {
namespace {

/// FFmpeg's bytes on their way into the file. Muxers go back to note sizes. An error of the file
/// must not fly through FFmpeg's C functions: it is kept, and thrown behind them.
class Sink {
 public:
  explicit Sink(const std::string& path) : file_(path) {
    constexpr int size = 1 << 16;
    auto* buffer = static_cast<unsigned char*>(av_malloc(size));
    context_ = buffer != nullptr ? avio_alloc_context(buffer, size, 1, this, nullptr, write, seek)
                                 : nullptr;
    if (context_ == nullptr) av_free(buffer);
    TANDEM_CHECK(context_ != nullptr, "video_writer", "there is no memory");
  }
  ~Sink() {
    av_freep(&context_->buffer);
    avio_context_free(&context_);
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  AVIOContext* context() const { return context_; }
  void rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }
  void commit() { file_.commit(); }

 private:
#if LIBAVFORMAT_VERSION_MAJOR >= 61
  using Byte = const std::uint8_t;
#else
  using Byte = std::uint8_t;
#endif
  static int write(void* opaque, Byte* bytes, int size) {
    auto& self = *static_cast<Sink*>(opaque);
    if (self.error_) return AVERROR(EIO);
    try {
      auto count = static_cast<std::size_t>(size);
      const std::uint64_t end = self.file_.position();
      const auto inside =
          self.at_ < end ? std::min(count, static_cast<std::size_t>(end - self.at_)) : 0;
      if (inside > 0) self.file_.overwrite(self.at_, bytes, inside);
      if (count > inside) self.file_.write(bytes + inside, count - inside);
      self.at_ += count;
    } catch (...) {
      self.error_ = std::current_exception();
      return AVERROR(EIO);
    }
    return size;
  }
  static std::int64_t seek(void* opaque, std::int64_t offset, int whence) {
    auto& self = *static_cast<Sink*>(opaque);
    const auto end = static_cast<std::int64_t>(self.file_.position());
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return end;
    const std::int64_t to = whence == SEEK_SET   ? offset
                            : whence == SEEK_CUR ? static_cast<std::int64_t>(self.at_) + offset
                                                 : end + offset;
    if (to < 0 || to > end) return AVERROR(EINVAL);
    self.at_ = static_cast<std::uint64_t>(to);
    return to;
  }

  AtomicFile file_;
  AVIOContext* context_ = nullptr;
  std::uint64_t at_ = 0;
  std::exception_ptr error_;
};

struct OutputFreer {
  void operator()(AVFormatContext* p) const { avformat_free_context(p); }
};

/// Whether an encoder takes planar 4:2:0.
bool takes_420(const AVCodec& codec) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
  const void* list = nullptr;
  int count = 0;
  if (avcodec_get_supported_config(nullptr, &codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &list, &count) <
          0 ||
      list == nullptr) {
    return true;
  }
  const auto* formats = static_cast<const AVPixelFormat*>(list);
  return std::find(formats, formats + count, AV_PIX_FMT_YUV420P) != formats + count;
#else
  if (codec.pix_fmts == nullptr) return true;
  for (const AVPixelFormat* f = codec.pix_fmts; *f != AV_PIX_FMT_NONE; ++f) {
    if (*f == AV_PIX_FMT_YUV420P) return true;
  }
  return false;
#endif
}

/// The encoder that the options ask for, or the best that is there and that the container takes.
const AVCodec* choose_encoder(const std::string& path, const VideoWriterOptions& options,
                              const AVOutputFormat& container) {
  const auto fits = [&](const AVCodec& codec) {
    return codec.type == AVMEDIA_TYPE_VIDEO && takes_420(codec) &&
           avformat_query_codec(&container, codec.id, FF_COMPLIANCE_NORMAL) != 0;
  };
  if (!options.encoder.empty()) {
    const AVCodec* codec = avcodec_find_encoder_by_name(options.encoder.c_str());
    TANDEM_CHECK(codec != nullptr, "video_writer", path, ": this FFmpeg has no encoder '",
                 options.encoder, "'");
    TANDEM_CHECK(fits(*codec), "video_writer", path, ": the encoder '", options.encoder,
                 "' does not fit a container of this kind (", container.name, ") and 4:2:0 video");
    return codec;
  }
  for (const char* name : {"libx264", "libopenh264", "libvpx-vp9", "mpeg4"}) {
    const AVCodec* codec = avcodec_find_encoder_by_name(name);
    if (codec != nullptr && fits(*codec)) return codec;
  }
  const AVCodec* codec = avcodec_find_encoder(container.video_codec);
  TANDEM_CHECK(codec != nullptr && fits(*codec), "video_writer", path,
               ": this FFmpeg has no encoder for a container of this kind (", container.name, ")");
  return codec;
}

}  // namespace
}  // namespace video

class VideoWriter::Impl {
 public:
  Impl(const std::string& path, std::int64_t width, std::int64_t height,
       const VideoWriterOptions& options)
      : path_(path), width_(width), height_(height) {
    TANDEM_CHECK(width >= 2 && height >= 2 && width % 2 == 0 && height % 2 == 0 && width <= 16384 &&
                     height <= 16384,
                 "video_writer", path, ": expected an even width and height from 2 to 16384, got ",
                 width, " and ", height);
    TANDEM_CHECK(options.fps >= 0.01 && options.fps <= 1000, "video_writer", path,
                 ": expected a rate from 0.01 to 1000 frames a second, got ", options.fps);
    TANDEM_CHECK(options.quality >= 0 && options.quality <= 51, "video_writer", path,
                 ": expected a quality from 0 to 51, got ", options.quality);
    TANDEM_CHECK(options.key_frame_every >= 1, "video_writer", path,
                 ": expected at least 1 frame from one key frame to the next, got ",
                 options.key_frame_every);
    const video::LogScope log(log_);
    AVFormatContext* format = nullptr;
    avformat_alloc_output_context2(&format, nullptr, nullptr, path.c_str());
    TANDEM_CHECK(format != nullptr, "video_writer", path,
                 ": expected a name that ends in .mp4, .m4v, .mov, .mkv, .webm, .avi or .nut");
    format_.reset(format);
    // Others write files of their own beside or in place of this one, or hold no video.
    const std::string_view name = format->oformat->name;
    const bool known = name == "mp4" || name == "mov" || name == "ipod" || name == "matroska" ||
                       name == "webm" || name == "avi" || name == "nut";
    TANDEM_CHECK(known, "video_writer", path, ": expected a name that ends in .mp4, .m4v, .mov, ",
                 ".mkv, .webm, .avi or .nut; FFmpeg takes this one for ", name);
    const AVCodec* codec = video::choose_encoder(path, options, *format->oformat);
    encoder_name_ = codec->name;
    codec_.reset(avcodec_alloc_context3(codec));
    stream_ = avformat_new_stream(format, nullptr);
    TANDEM_CHECK(codec_ != nullptr && stream_ != nullptr, "video_writer", "there is no memory");
    configure(options);
    AVDictionary* extra = quality_options(options);
    const int opened = avcodec_open2(codec_.get(), codec, &extra);
    av_dict_free(&extra);
    check(opened, "the encoder cannot be opened");
    stream_->time_base = codec_->time_base;
    stream_->avg_frame_rate = codec_->framerate;
    check(avcodec_parameters_from_context(stream_->codecpar, codec_.get()), "parameters");
    sink_ = std::make_unique<video::Sink>(path);
    format->pb = sink_->context();
    format->flags |= AVFMT_FLAG_BITEXACT | AVFMT_FLAG_CUSTOM_IO;
    check(avformat_write_header(format, nullptr), "the container's header cannot be written");
    frame_->width = codec_->width;
    frame_->height = codec_->height;
    frame_->format = codec_->pix_fmt;
    frame_->color_range = codec_->color_range;
    frame_->colorspace = codec_->colorspace;
    check(av_frame_get_buffer(frame_.get(), 0), "memory for a picture");
    scaler_.reset(sws_getContext(codec_->width, codec_->height, AV_PIX_FMT_RGB24, codec_->width,
                                 codec_->height, AV_PIX_FMT_YUV420P,
                                 SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, nullptr,
                                 nullptr, nullptr));
    TANDEM_CHECK(scaler_ != nullptr, "video_writer", path, ": swscale cannot convert the frames");
  }

  ~Impl() {
    const video::LogScope log(log_);  // libx264 tells its life when it goes
    codec_.reset();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void add(const Tensor<std::uint8_t>& rgb) {
    TANDEM_CHECK(!closed_, "video_writer", path_, ": the video is already closed");
    TANDEM_CHECK(rgb.shape() == (Shape{height_, width_, 3}), "video_writer", path_,
                 ": expected a frame of shape ", (Shape{height_, width_, 3}), ", got ",
                 rgb.shape());
    const video::LogScope log(log_);
    // swscale reads whole vectors, a few bytes beyond the last pixel.
    const Tensor<std::uint8_t> dense = rgb.contiguous();
    rgb_.resize(static_cast<std::size_t>(dense.numel()) + 64);
    std::copy_n(dense.data(), dense.numel(), rgb_.data());
    const std::uint8_t* const lines[] = {rgb_.data()};
    const int strides[] = {static_cast<int>(3 * width_)};
    check(av_frame_make_writable(frame_.get()), "memory for a picture");
    check(
        sws_scale(scaler_.get(), lines, strides, 0, codec_->height, frame_->data, frame_->linesize),
        "swscale cannot convert a frame");
    frame_->pts = frames_++;
    encode(frame_.get());
  }

  void close() {
    TANDEM_CHECK(!closed_, "video_writer", path_, ": the video is already closed");
    TANDEM_CHECK(frames_ > 0, "video_writer", path_, ": a video needs at least one frame");
    const video::LogScope log(log_);
    encode(nullptr);
    check(av_write_trailer(format_.get()), "the container's end cannot be written");
    avio_flush(sink_->context());
    sink_->rethrow();
    sink_->commit();
    closed_ = true;
  }

  std::int64_t frames() const { return frames_; }
  const std::string& encoder() const { return encoder_name_; }

 private:
  void configure(const VideoWriterOptions& options) {
    const AVRational rate = av_d2q(options.fps, 60000);
    codec_->width = static_cast<int>(width_);
    codec_->height = static_cast<int>(height_);
    codec_->pix_fmt = AV_PIX_FMT_YUV420P;
    codec_->time_base = {rate.den, rate.num};
    codec_->framerate = rate;
    codec_->gop_size = options.key_frame_every;
    codec_->color_range = AVCOL_RANGE_MPEG;
    codec_->colorspace = AVCOL_SPC_SMPTE170M;
    codec_->thread_count = 1;
    codec_->flags |= AV_CODEC_FLAG_BITEXACT;
    if ((format_->oformat->flags & AVFMT_GLOBALHEADER) != 0)
      codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  }
  /// The quality on the encoder's own scale.
  AVDictionary* quality_options(const VideoWriterOptions& options) {
    AVDictionary* extra = nullptr;
    if (encoder_name_ == "libx264") {
      av_dict_set_int(&extra, "crf", options.quality, 0);
      av_dict_set(&extra, "preset", options.preset.c_str(), 0);
      // Its macroblock tree depends on where memory lies: the bytes would differ from run to run.
      av_dict_set(&extra, "x264-params", "threads=1:no-mbtree=1", 0);
    } else if (encoder_name_ == "libvpx-vp9" || encoder_name_ == "libvpx") {
      av_dict_set_int(&extra, "crf", options.quality * 63 / 51, 0);
      codec_->bit_rate = 0;
    } else {  // a fixed quantizer, 1 to 31
      codec_->flags |= AV_CODEC_FLAG_QSCALE;
      codec_->global_quality = FF_QP2LAMBDA * (1 + options.quality * 30 / 51);
    }
    return extra;
  }
  void encode(const AVFrame* frame) {
    check(avcodec_send_frame(codec_.get(), frame), "a frame cannot be encoded");
    for (;;) {
      const int got = avcodec_receive_packet(codec_.get(), packet_.get());
      if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) return;
      check(got, "a frame cannot be encoded");
      // Some encoders leave out how long a frame lasts, and AVI and MP4 want to know.
      if (packet_->duration == 0) packet_->duration = 1;
      packet_->stream_index = stream_->index;
      av_packet_rescale_ts(packet_.get(), codec_->time_base, stream_->time_base);
      check(av_interleaved_write_frame(format_.get(), packet_.get()), "a frame cannot be written");
    }
  }
  void check(int code, const char* what) {
    if (sink_) sink_->rethrow();
    if (code >= 0) return;
    std::string why;
    for (const std::string& line : log_.take()) why += "; " + line;
    fail("video_writer", path_, ": ", what, ": ", video::error_text(code), why);
  }

  std::string path_, encoder_name_;
  std::int64_t width_, height_, frames_ = 0;
  std::vector<std::uint8_t> rgb_;  // the frame, with room behind
  bool closed_ = false;
  video::LogSink log_;
  std::unique_ptr<video::Sink> sink_;  // outlives what writes into it
  std::unique_ptr<AVFormatContext, video::OutputFreer> format_;
  video::CodecPtr codec_;
  AVStream* stream_ = nullptr;
  video::FramePtr frame_ = video::new_frame();
  video::PacketPtr packet_ = video::new_packet();
  video::ScalerPtr scaler_;
};

VideoWriter::VideoWriter(const std::string& path, std::int64_t width, std::int64_t height,
                         const VideoWriterOptions& options)
    : impl_(std::make_unique<Impl>(path, width, height, options)) {}
VideoWriter::~VideoWriter() = default;
VideoWriter::VideoWriter(VideoWriter&&) noexcept = default;
VideoWriter& VideoWriter::operator=(VideoWriter&&) noexcept = default;
VideoWriter::Impl& VideoWriter::impl() const {
  TANDEM_CHECK(impl_ != nullptr, "video_writer", "the writer was moved to another variable");
  return *impl_;
}
void VideoWriter::add(const Tensor<std::uint8_t>& rgb) { impl().add(rgb); }
void VideoWriter::close() { impl().close(); }
std::int64_t VideoWriter::frames() const { return impl().frames(); }
const std::string& VideoWriter::encoder() const { return impl().encoder(); }

}  // namespace io
TANDEM_NAMESPACE_END
