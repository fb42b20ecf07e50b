#pragma once
/// Small videos for the tests, written with FFmpeg's own encoders.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tandem_test {

struct ClipSpec {
  const char* encoder = "mpeg4";
  AVPixelFormat format = AV_PIX_FMT_YUV420P;
  int width = 64, height = 48;
  int frames = 40;
  int gop = 12, b_frames = 2;
  /// Time stamp of frame i, in 1/1000 s.
  std::function<std::int64_t(int)> time = [](int i) { return std::int64_t{40} * i; };
  AVColorRange range = AVCOL_RANGE_UNSPECIFIED;
  /// Options of the encoder, "name=value:…".
  const char* options = "";
  const char* muxer = "";  ///< and of the container
  /// Display matrix (a, b, c, d) in sixteenths of 2^16; all zero: none.
  int matrix[4] = {0, 0, 0, 0};
  int video_streams = 1;  ///< the later ones are half as wide
  /// Which picture is drawn in frame i.
  std::function<int(int)> picture = [](int i) { return i; };
  /// Changes packet k of the first stream, in the order of decoding; false leaves it out of the
  /// file.
  std::function<bool(int, AVPacket&)> edit = {};
};

namespace detail {

inline void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(std::string("writing a test video failed: ") + what);
}

/// Pixels that tell the frames apart: a drifting gradient and a bright bar that names the number.
inline void draw(AVFrame& frame, int number) {
  for (int plane = 0; plane < 3; ++plane) {
    int shift_x = 0, shift_y = 0;
    if (plane > 0) {
      av_pix_fmt_get_chroma_sub_sample(static_cast<AVPixelFormat>(frame.format), &shift_x,
                                       &shift_y);
    }
    const int width = (frame.width + shift_x) >> shift_x,
              height = (frame.height + shift_y) >> shift_y;
    for (int y = 0; y < height; ++y) {
      std::uint8_t* row = frame.data[plane] + std::ptrdiff_t{y} * frame.linesize[plane];
      for (int x = 0; x < width; ++x) {
        const bool bar = y * 8 / height == number % 8 && x * 8 / width <= number / 8 % 8;
        row[x] = static_cast<std::uint8_t>(
            plane == 0 ? (bar ? 230 : 40 + (3 * x + 2 * y + 5 * number) % 150)
                       : 90 + (x + plane * number) % 70);
      }
    }
  }
}

}  // namespace detail

inline void set_bytes(AVPacket& packet, const std::vector<std::uint8_t>& bytes) {
  const std::int64_t pts = packet.pts, dts = packet.dts, duration = packet.duration;
  const int stream = packet.stream_index, flags = packet.flags;
  av_packet_unref(&packet);
  detail::require(av_new_packet(&packet, static_cast<int>(bytes.size())) >= 0, "memory");
  if (!bytes.empty()) std::memcpy(packet.data, bytes.data(), bytes.size());
  packet.pts = pts, packet.dts = dts, packet.duration = duration, packet.stream_index = stream,
  packet.flags = flags;
}

/// Makes the packet an MPEG-4 picture of the kind "not coded" (vop_coded = 0): the decoder gives no
/// frame for it. `bits` is the width of vop_time_increment: that of the clock's ticks per second,
/// less one.
inline void not_coded(AVPacket& packet, int bits) {
  std::vector<bool> vop = {false, true, false, true};  // coding type P, no whole second, marker
  for (int i = 0; i < bits; ++i) vop.push_back(i + 1 == bits);  // vop_time_increment
  vop.insert(vop.end(), {true, false, false});  // marker, not coded, then ones up to a whole byte
  std::vector<std::uint8_t> bytes = {0, 0, 1, 0xB6};
  for (std::size_t i = 0; i < (vop.size() + 7) / 8 * 8; ++i) {
    if (i % 8 == 0) bytes.push_back(0);
    if (i >= vop.size() || vop[i])
      bytes.back() = static_cast<std::uint8_t>(bytes.back() | 128u >> i % 8);
  }
  set_bytes(packet, bytes);
}

inline bool has_encoder(const char* name) { return avcodec_find_encoder_by_name(name) != nullptr; }

/// Writes the clip; the container is that of the file name.
inline void write_clip(const std::string& path, const ClipSpec& spec) {
  using detail::require;
  av_log_set_level(AV_LOG_QUIET);  // libx264 tells its life on every occasion
  AVFormatContext* format = nullptr;
  require(avformat_alloc_output_context2(&format, nullptr, nullptr, path.c_str()) >= 0,
          "container");
  const AVCodec* codec = avcodec_find_encoder_by_name(spec.encoder);
  require(codec != nullptr, "encoder");
  std::vector<AVCodecContext*> encoders;
  for (int k = 0; k < spec.video_streams; ++k) {
    AVStream* stream = avformat_new_stream(format, nullptr);
    AVCodecContext* encoder = avcodec_alloc_context3(codec);
    require(stream != nullptr && encoder != nullptr, "memory");
    encoder->width = spec.width >> (k > 0 ? 1 : 0);
    encoder->height = spec.height;
    encoder->pix_fmt = spec.format;
    encoder->time_base = {1, 1000};
    encoder->framerate = {25, 1};
    if (std::string(format->oformat->name) == "avi" || codec->id == AV_CODEC_ID_MPEG2VIDEO)
      encoder->time_base = {1, 25};
    encoder->gop_size = spec.gop;
    encoder->max_b_frames = spec.b_frames;
    encoder->color_range = spec.range;
    encoder->thread_count = 1;
    encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    if ((format->oformat->flags & AVFMT_GLOBALHEADER) != 0)
      encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    AVDictionary* options = nullptr;
    av_dict_parse_string(&options, spec.options, "=", ":", 0);
    require(avcodec_open2(encoder, codec, &options) >= 0, "opening the encoder");
    av_dict_free(&options);
    stream->time_base = encoder->time_base;
    stream->avg_frame_rate = encoder->framerate;
    avcodec_parameters_from_context(stream->codecpar, encoder);
    if (spec.matrix[0] != 0 || spec.matrix[1] != 0) {
      const std::int32_t matrix[9] = {spec.matrix[0] * 4096,
                                      spec.matrix[1] * 4096,
                                      0,
                                      spec.matrix[2] * 4096,
                                      spec.matrix[3] * 4096,
                                      0,
                                      0,
                                      0,
                                      1 << 30};
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 100)
      AVPacketSideData* side = av_packet_side_data_new(&stream->codecpar->coded_side_data,
                                                       &stream->codecpar->nb_coded_side_data,
                                                       AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix, 0);
      require(side != nullptr, "display matrix");
      std::uint8_t* data = side->data;
#else
      std::uint8_t* data =
          av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix);
#endif
      require(data != nullptr, "display matrix");
      std::memcpy(data, matrix, sizeof matrix);
    }
    encoders.push_back(encoder);
  }
  require(avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE) >= 0, "opening the file");
  format->flags |= AVFMT_FLAG_BITEXACT;
  AVDictionary* muxing = nullptr;
  av_dict_parse_string(&muxing, spec.muxer, "=", ":", 0);
  require(avformat_write_header(format, &muxing) >= 0, "header");
  av_dict_free(&muxing);
  AVPacket* packet = av_packet_alloc();
  int number = 0;
  for (int i = 0; i <= spec.frames; ++i) {
    for (std::size_t k = 0; k < encoders.size(); ++k) {
      AVCodecContext* encoder = encoders[k];
      AVFrame* frame = nullptr;
      if (i < spec.frames) {
        frame = av_frame_alloc();
        frame->width = encoder->width, frame->height = encoder->height,
        frame->format = encoder->pix_fmt;
        require(av_frame_get_buffer(frame, 0) >= 0, "memory");
        detail::draw(*frame, spec.picture(i));
        frame->pts = av_rescale_q(spec.time(i), AVRational{1, 1000}, encoder->time_base);
        frame->color_range = spec.range;
      }
      require(avcodec_send_frame(encoder, frame) >= 0, "encoding");
      av_frame_free(&frame);
      while (avcodec_receive_packet(encoder, packet) >= 0) {
        packet->stream_index = static_cast<int>(k);
        av_packet_rescale_ts(packet, encoder->time_base, format->streams[k]->time_base);
        if (k == 0 && spec.edit && !spec.edit(number++, *packet)) {
          av_packet_unref(packet);
          continue;
        }
        require(av_interleaved_write_frame(format, packet) >= 0, "writing");
      }
    }
  }
  av_packet_free(&packet);
  av_write_trailer(format);
  avio_closep(&format->pb);
  for (AVCodecContext* encoder : encoders) avcodec_free_context(&encoder);
  avformat_free_context(format);
  av_log_set_level(AV_LOG_INFO);
}

}  // namespace tandem_test
