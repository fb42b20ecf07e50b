// Files to packets to decoded pictures, through libavformat and libavcodec.

#include "video_decoder.hpp"

extern "C" {
#include <libavutil/avutil.h>
#include <libavutil/pixdesc.h>
}

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "tandem/cpu/threads.hpp"
#include "tandem/io/file.hpp"
#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {
namespace {

/// Containers that hold the video themselves. Play lists and the like, which make FFmpeg open other
/// files or addresses, and formats that make a picture of any text are not among them.
constexpr const char* containers =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegtsraw,mpegvideo,h264,hevc,m4v,av1,"
    "obu,ivf,flv,"
    "live_flv,asf,ogg,nut,mxf,gif,apng,rm,dv,yuv4mpegpipe,vob,h263,h261,vc1,wtv,swf,nsv,roq,smk,"
    "bink,webp_pipe,"
    "amv,gxf,lxf,mjpeg,wav,mp3,aac,flac,w64,ac3,aiff,caf";

/// A decoder that refuses so many packets one after the other gets no more: a file of a few bytes
/// can claim billions of packets.
constexpr std::int64_t most_fruitless = 20000;
constexpr int most_read_errors = 32;

/// Key packets that wait for their frames: more than any decoder holds back.
constexpr std::size_t most_keys = 1024;

void check_file(const std::string& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) {
    fail("read_video", path, ": cannot be opened: ", detail::system_message(errno));
  }
  TANDEM_CHECK(S_ISREG(about.st_mode), "read_video", path, ": is ",
               detail::kind_name(about.st_mode), ", expected a video file");
  TANDEM_CHECK(about.st_size > 0, "read_video", path, ": the file is empty");
}

/// Decoding threads wait for each other at every row of a picture, which costs more than it gains
/// on small ones:
/// 320 × 240 took 0.080 s on two threads and 0.069 s on one, 480 × 360 0.15 to 0.18 s and 0.23 s.
/// Samples of more than 8 bits take longer.
int useful_threads(const AVCodecParameters& parameters) {
  const AVPixFmtDescriptor* format =
      av_pix_fmt_desc_get(static_cast<AVPixelFormat>(parameters.format));
  const std::int64_t weight = format != nullptr && format->comp[0].depth > 8 ? 4 : 1;
  const std::int64_t pixels = std::int64_t{parameters.width} * parameters.height;
  return static_cast<int>(std::clamp<std::int64_t>(weight * pixels / 50000, 1, cpu::num_threads()));
}

std::string kind(const AVStream& stream) {
  const char* name = av_get_media_type_string(stream.codecpar->codec_type);
  return name != nullptr ? name : "unknown";
}

}  // namespace

FramePtr new_frame() {
  FramePtr frame(av_frame_alloc());
  TANDEM_CHECK(frame != nullptr, "read_video", "the system has no memory left");
  return frame;
}

PacketPtr new_packet() {
  PacketPtr packet(av_packet_alloc());
  TANDEM_CHECK(packet != nullptr, "read_video", "the system has no memory left");
  return packet;
}

std::string error_text(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

Demuxer::Demuxer(const std::string& path, const VideoOptions& options, LogSink& log) : path_(path) {
  check_file(path);
  AVFormatContext* opened = avformat_alloc_context();
  TANDEM_CHECK(opened != nullptr, "read_video", "the system has no memory left");
  AVDictionary* settings = nullptr;
  av_dict_set(&settings, "protocol_whitelist", "file", 0);
  av_dict_set(&settings, "format_whitelist", containers, 0);
  const int code = avformat_open_input(&opened, ("file:" + path).c_str(), nullptr, &settings);
  av_dict_free(&settings);
  if (code < 0) {  // `opened` is freed
    std::string why = error_text(code);
    // A damaged file makes FFmpeg complain of every second byte
    constexpr std::size_t most_lines = 3;
    const std::vector<std::string> lines = log.take();
    for (std::size_t i = 0; i < lines.size() && i < most_lines; ++i)
      why += concat("; FFmpeg: ", lines[i]);
    if (lines.size() > most_lines)
      why += concat("; and ", lines.size() - most_lines, " lines more");
    fail("read_video", path, ": is no video file that FFmpeg can read: ", why);
  }
  format_.reset(opened);
  // This decodes a few pictures, so it gets a limit too: not the caller's, which would hide the
  // size.
  constexpr std::int64_t most_probed = std::int64_t{1} << 28;
  std::vector<AVDictionary*> limits(opened->nb_streams, nullptr);
  for (AVDictionary*& limit : limits)
    av_dict_set_int(&limit, "max_pixels", std::max(most_probed, options.max_pixels), 0);
  const int found = avformat_find_stream_info(opened, limits.data());
  for (AVDictionary*& limit : limits) av_dict_free(&limit);
  if (found < 0)
    fail("read_video", path, ": FFmpeg cannot make out the streams: ", error_text(found));
  if (options.stream >= 0) {
    const auto wanted = static_cast<unsigned>(options.stream);
    if (wanted >= opened->nb_streams ||
        opened->streams[wanted]->codecpar->codec_type != AVMEDIA_TYPE_VIDEO) {
      no_stream(concat("stream ", options.stream, " is no video stream"));
    }
    stream_ = opened->streams[wanted];
  } else {
    const int best = av_find_best_stream(opened, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    if (best < 0) no_stream("there is no video stream");
    stream_ = opened->streams[best];
  }
  for (unsigned i = 0; i < opened->nb_streams; ++i) {
    if (opened->streams[i] != stream_) opened->streams[i]->discard = AVDISCARD_ALL;
  }
  if (opened->start_time != AV_NOPTS_VALUE && opened->start_time > 0) {
    origin_ = av_rescale_q(opened->start_time, AVRational{1, AV_TIME_BASE}, stream_->time_base);
  }
}

void Demuxer::no_stream(const std::string& problem) const {
  std::string list;
  for (unsigned i = 0; i < format_->nb_streams && i < 32; ++i) {
    const AVStream& stream = *format_->streams[i];
    list += concat(i == 0 ? "" : ", ", i, " (", kind(stream), ", ",
                   avcodec_get_name(stream.codecpar->codec_id), ")");
  }
  fail("read_video", path_, ": ", problem, "; the file has ",
       list.empty() ? "no streams" : "the streams ", list);
}

bool Demuxer::read(AVPacket& packet) {
  for (;;) {
    av_packet_unref(&packet);
    const int code = av_read_frame(format_.get(), &packet);
    if (code >= 0) {
      if (packet.stream_index != stream_->index) continue;
      if ((packet.flags & AV_PKT_FLAG_CORRUPT) != 0) short_packet = true;
      return true;
    }
    if (code == AVERROR_EOF) return false;
    last_error = code;
    if (++errors >= most_read_errors || code != AVERROR_INVALIDDATA) return false;
  }
}

bool Demuxer::seek(std::int64_t timestamp) {
  return av_seek_frame(format_.get(), stream_->index, timestamp, AVSEEK_FLAG_BACKWARD) >= 0;
}

Decoder::Decoder(const std::string& path, const VideoOptions& options, LogSink& log)
    : demuxer_(std::make_unique<Demuxer>(path, options, log)) {
  const AVCodecParameters& parameters = *demuxer_->stream()->codecpar;
  const AVCodec* codec = avcodec_find_decoder(parameters.codec_id);
  TANDEM_CHECK(codec != nullptr, "read_video", path, ": this FFmpeg has no decoder for ",
               avcodec_get_name(parameters.codec_id));
  TANDEM_CHECK(parameters.width > 0 && parameters.height > 0, "read_video", path,
               ": the size of the pictures cannot be made out; the video stream is damaged");
  TANDEM_CHECK(std::int64_t{parameters.width} * parameters.height <= options.max_pixels,
               "read_video", path, ": ", parameters.width, " x ", parameters.height,
               " pixels are more than the limit of ", options.max_pixels);
  codec_.reset(avcodec_alloc_context3(codec));
  TANDEM_CHECK(codec_ != nullptr && avcodec_parameters_to_context(codec_.get(), &parameters) >= 0,
               "read_video", "the system has no memory left");
  codec_->opaque = &log;
  codec_->pkt_timebase = demuxer_->stream()->time_base;
  codec_->max_pixels = options.max_pixels;
  codec_->thread_count = options.threads > 0 ? options.threads : useful_threads(parameters);
  const int code = avcodec_open2(codec_.get(), codec, nullptr);
  TANDEM_CHECK(code >= 0, "read_video", path, ": the decoder ", codec->name,
               " cannot start: ", error_text(code));
}

bool Decoder::read(AVFrame& frame, VideoReport& report) {
  for (;;) {
    av_frame_unref(&frame);
    const int code = avcodec_receive_frame(codec_.get(), &frame);
    if (code >= 0) {
      fruitless_ = 0;
      ++report.frames;
      if ((frame.flags & AV_FRAME_FLAG_CORRUPT) != 0 || frame.decode_error_flags != 0)
        ++report.damaged_frames;
      return true;
    }
    if (code == AVERROR_EOF) return false;
    if (code != AVERROR(EAGAIN))
      ++report.skipped_packets;  // an error met by one of the decoder's threads
    if (!draining_ && code == AVERROR(EAGAIN) && !feed(report)) {
      draining_ = true;
      avcodec_send_packet(codec_.get(), nullptr);
    } else if (++fruitless_ > most_fruitless) {
      return false;
    }
  }
}

/// Sends one packet; false when there is none.
bool Decoder::feed(VideoReport& report) {
  if (!demuxer_->read(*packet_)) return false;
  ++report.packets;
  if ((packet_->flags & AV_PKT_FLAG_KEY) != 0) {
    keys_.push_back({packet_->pts, packet_->dts});
    if (keys_.size() > most_keys) keys_.pop_front();
  }
  if (avcodec_send_packet(codec_.get(), packet_.get()) < 0) ++report.skipped_packets;
  return true;
}

bool Decoder::seek(std::int64_t timestamp) {
  if (!demuxer_->seek(timestamp)) return false;
  avcodec_flush_buffers(codec_.get());
  draining_ = false;
  keys_.clear();
  fruitless_ = 0;
  return true;
}

std::int64_t Decoder::seek_stamp(const AVFrame& key_frame) {
  // By its time stamp; in a container that knows none of presentation, the last key packet that was
  // sent.
  auto found = std::find_if(keys_.begin(), keys_.end(), [&](const KeyPacket& key) {
    return key_frame.pts != AV_NOPTS_VALUE && key.pts == key_frame.pts;
  });
  if (found == keys_.end()) {
    found = std::find_if(keys_.rbegin(), keys_.rend(), [&](const KeyPacket& key) {
              return key.dts != AV_NOPTS_VALUE && key_frame.pkt_dts != AV_NOPTS_VALUE &&
                     key.dts <= key_frame.pkt_dts;
            }).base();
    if (found == keys_.begin())
      return key_frame.pts != AV_NOPTS_VALUE ? key_frame.pts : key_frame.best_effort_timestamp;
    --found;
  }
  const KeyPacket key = *found;
  keys_.erase(keys_.begin(), found);
  return key.dts != AV_NOPTS_VALUE ? key.dts : key.pts;
}

}  // namespace io::video
TANDEM_NAMESPACE_END
