// Decoded pictures to RGB: the conversion of `ffmpeg -pix_fmt rgb24` and the display matrix.

extern "C" {
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tandem/tensor/error.hpp"
#include "video_decoder.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {
namespace {

/// FFmpeg's matrix of a stream: 3 × 3 numbers, or null.
const std::int32_t* display_matrix(const AVStream& stream) {
  constexpr std::size_t bytes = 9 * sizeof(std::int32_t);
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 100)
  const AVPacketSideData* data =
      av_packet_side_data_get(stream.codecpar->coded_side_data, stream.codecpar->nb_coded_side_data,
                              AV_PKT_DATA_DISPLAYMATRIX);
  if (data == nullptr || data->size < bytes) return nullptr;
  return reinterpret_cast<const std::int32_t*>(data->data);
#else
  std::size_t size = 0;
  const std::uint8_t* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (data == nullptr || size < bytes) return nullptr;
  return reinterpret_cast<const std::int32_t*>(data);
#endif
}

/// out (H, W) from in, transposed where H and W are the other way round in `in`; in blocks, so that
/// the lines read across stay in the cache.
void turn(const std::uint8_t* in, std::ptrdiff_t stride, int width, int height,
          const Orientation& way, std::uint8_t* out) {
  constexpr int block = 16;
  const std::ptrdiff_t along_x = way.transpose ? stride : 3, along_y = way.transpose ? 3 : stride;
  for (int y0 = 0; y0 < height; y0 += block) {
    for (int x0 = 0; x0 < width; x0 += block) {
      const int y1 = std::min(y0 + block, height), x1 = std::min(x0 + block, width);
      for (int y = y0; y < y1; ++y) {
        const std::uint8_t* from = in + (way.flip_y ? height - 1 - y : y) * along_y;
        std::uint8_t* to = out + (std::ptrdiff_t{y} * width + x0) * 3;
        for (int x = x0; x < x1; ++x, to += 3) {
          std::memcpy(to, from + (way.flip_x ? width - 1 - x : x) * along_x, 3);
        }
      }
    }
  }
}

}  // namespace

Orientation orientation_of(const AVStream& stream) {
  Orientation way;
  const std::int32_t* matrix = display_matrix(stream);
  if (matrix == nullptr) return way;
  // A point (p, q) of the stored picture is shown at (a p + c q, b p + d q).
  const double a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
  const double straight = std::min(std::abs(a), std::abs(d)),
               crossed = std::min(std::abs(b), std::abs(c));
  const double other_straight = std::max(std::abs(b), std::abs(c));
  const double other_crossed = std::max(std::abs(a), std::abs(d));
  if (straight > 64 * other_straight) {
    way.flip_x = a < 0, way.flip_y = d < 0;
  } else if (crossed > 64 * other_crossed) {
    way.transpose = true;
    way.flip_x = c < 0, way.flip_y = b < 0;
  } else {
    way.odd_angle = true;
    return way;
  }
  way.mirrored = way.transpose != (way.flip_x != way.flip_y);
  if (way.transpose) {
    way.degrees = way.flip_y ? 270 : 90;  // a mirror follows, from left to right
  } else {
    way.degrees = way.flip_y ? 180 : 0;
  }
  return way;
}

Converter::Converter(int width, int height, const Orientation& orientation)
    : width_(width), height_(height), orientation_(orientation) {}

Shape Converter::shape() const {
  return orientation_.transpose ? Shape{width_, height_, 3} : Shape{height_, width_, 3};
}

void Converter::prepare(const AVFrame& frame) {
  if (scaler_ && source_width_ == frame.width && source_height_ == frame.height &&
      source_format_ == frame.format) {
    return;
  }
  scaler_.reset(sws_alloc_context());
  TANDEM_CHECK(scaler_ != nullptr, "read_video", "the system has no memory left");
  SwsContext* scaler = scaler_.get();
  const auto set = [&](const char* name, std::int64_t value) {
    av_opt_set_int(scaler, name, value, 0);
  };
  set("srcw", frame.width);
  set("srch", frame.height);
  set("src_format", frame.format);
  set("dstw", width_);
  set("dsth", height_);
  set("dst_format", AV_PIX_FMT_RGB24);
  set("sws_flags", SWS_BICUBIC);  // what the program ffmpeg asks for
  // As FFmpeg's filter `scale`: chroma lies to the left of and between the rows of an MPEG picture.
  if (frame.format == AV_PIX_FMT_YUV420P) set("src_v_chr_pos", 128);
  if (sws_init_context(scaler, nullptr, nullptr) < 0) {
    const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame.format));
    scaler_.reset();
    fail("read_video", "FFmpeg cannot convert the pixel format ", name != nullptr ? name : "?",
         " to RGB");
  }
  source_width_ = frame.width, source_height_ = frame.height, source_format_ = frame.format;
}

void Converter::convert(const AVFrame& frame, std::uint8_t* rgb) {
  prepare(frame);
  int *in_table = nullptr, *out_table = nullptr;
  int in_full = 0, out_full = 0, brightness = 0, contrast = 0, saturation = 0;
  if (sws_getColorspaceDetails(scaler_.get(), &in_table, &in_full, &out_table, &out_full,
                               &brightness, &contrast, &saturation) >= 0) {
    if (frame.color_range != AVCOL_RANGE_UNSPECIFIED)
      in_full = frame.color_range == AVCOL_RANGE_JPEG;
    const int* matrix = sws_getCoefficients(frame.colorspace);  // unspecified: BT.601
    sws_setColorspaceDetails(scaler_.get(), matrix, in_full, out_table, out_full, brightness,
                             contrast, saturation);
  }
  // swscale's fast loops write whole groups of pixels, and rows that are not aligned would send it
  // other ways:
  // such frames are converted in a picture of FFmpeg's own.
  const bool direct = orientation_.identity() && width_ % 32 == 0;
  std::uint8_t* target[4] = {rgb, nullptr, nullptr, nullptr};
  int strides[4] = {3 * width_, 0, 0, 0};
  if (!direct) {
    if (!scratch_) {
      FramePtr fresh = new_frame();
      fresh->width = width_, fresh->height = height_, fresh->format = AV_PIX_FMT_RGB24;
      TANDEM_CHECK(av_frame_get_buffer(fresh.get(), 0) >= 0, "read_video",
                   "the system has no memory left");
      scratch_ = std::move(fresh);
    }
    target[0] = scratch_->data[0], strides[0] = scratch_->linesize[0];
  }
  sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, target, strides);
  if (direct) return;
  const std::size_t row = static_cast<std::size_t>(width_) * 3;
  if (orientation_.identity()) {
    for (int y = 0; y < height_; ++y) {
      std::memcpy(rgb + static_cast<std::size_t>(y) * row,
                  target[0] + std::ptrdiff_t{y} * strides[0], row);
    }
  } else if (orientation_.transpose) {
    turn(target[0], strides[0], height_, width_, orientation_, rgb);
  } else {
    turn(target[0], strides[0], width_, height_, orientation_, rgb);
  }
}

}  // namespace io::video
TANDEM_NAMESPACE_END
