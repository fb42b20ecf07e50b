// JPEG through libjpeg-turbo, as Pillow has it: the only place where that library is seen.

#include "image_jpeg.hpp"

#include <jpeglib.h>
// After jpeglib.h, whose types it uses.
#include <jerror.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

TANDEM_NAMESPACE_BEGIN
namespace io {
namespace {

/// A progressive file may ask for any number of passes over a large image; real ones have about
/// ten.
constexpr int most_scans = 500;

/// libjpeg reports errors through callbacks that must not return: they leave by longjmp, so the
/// functions that call libjpeg own nothing that has a destructor.
class JpegDecoder {
 public:
  JpegDecoder() { std::memset(&info_, 0, sizeof info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { ::jpeg_destroy_decompress(&info_); }

  /// Reads up to the first scan; false: see message().
  bool read_header(const unsigned char* bytes, std::size_t size) {
    info_.err = ::jpeg_std_error(&errors_);
    errors_.error_exit = leave;
    errors_.emit_message = warn;
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
    if (setjmp(back_) != 0) return false;
    ::jpeg_create_decompress(&info_);
    info_.client_data = this;  // create_decompress clears most of it
    progress_.progress_monitor = count_scans;
    info_.progress = &progress_;
    ::jpeg_mem_src(&info_, bytes, static_cast<unsigned long>(size));
    ::jpeg_read_header(&info_, TRUE);
    // libjpeg-turbo gives scans without Huffman tables those of motion JPEG. Files that lack a
    // table are damaged:
    // instead it finds tables that it refuses, unless a later segment defines them.
    for (int i = 0; i < NUM_HUFF_TBLS; ++i) {
      for (JHUFF_TBL** table : {&info_.dc_huff_tbl_ptrs[i], &info_.ac_huff_tbl_ptrs[i]}) {
        if (*table != nullptr) continue;
        *table = ::jpeg_alloc_huff_table(reinterpret_cast<j_common_ptr>(&info_));
        std::memset((*table)->bits, 0, sizeof(*table)->bits);
        std::memset((*table)->huffval, 0, sizeof(*table)->huffval);
        (*table)->bits[1] = 255;  // codes of one bit
      }
    }
    const int components = info_.num_components;
    info_.out_color_space = components == 4 ? JCS_CMYK : JCS_RGB;
    return true;
  }

  std::int64_t width() const { return info_.image_width; }
  std::int64_t height() const { return info_.image_height; }
  int components() const { return info_.num_components; }
  const char* message() const { return message_; }

  /// `rgb` has room for height × width × 3 bytes, `row` for width × 4.
  bool read_pixels(unsigned char* rgb, unsigned char* row) {
    if (setjmp(back_) != 0) return false;
    ::jpeg_start_decompress(&info_);
    const std::size_t line = std::size_t{3} * info_.image_width;
    while (info_.output_scanline < info_.output_height) {
      const std::size_t y = info_.output_scanline;
      JSAMPROW to = info_.num_components == 4 ? row : rgb + y * line;
      ::jpeg_read_scanlines(&info_, &to, 1);
      if (info_.num_components == 4) cmyk_to_rgb(row, rgb + y * line, info_.image_width);
    }
    ::jpeg_finish_decompress(&info_);  // up to the end marker
    return true;
  }

 private:
  /// Inks are stored inverted, as Adobe does, and as Pillow takes all of them to be.
  static void cmyk_to_rgb(const unsigned char* cmyk, unsigned char* rgb, std::size_t pixels) {
    for (std::size_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
      const int light = cmyk[3];
      for (int c = 0; c < 3; ++c) {
        const int product = (255 - cmyk[c]) * light + 128;  // divided by 255, rounded
        rgb[c] = static_cast<unsigned char>(std::max(0, light - ((product >> 8) + product) / 256));
      }
    }
  }

  [[noreturn]] static void leave(j_common_ptr info) {
    auto* self = static_cast<JpegDecoder*>(info->client_data);
    switch (info->err->msg_code) {
      case JERR_NO_HUFF_TABLE:
      case JERR_BAD_HUFF_TABLE:
        std::snprintf(
            self->message_, sizeof self->message_,
            "a scan uses a Huffman table that the file does not define, or an impossible one");
        break;
      case JERR_NO_QUANT_TABLE:
        std::snprintf(self->message_, sizeof self->message_,
                      "a scan uses the quantization table %d, which the file does not define",
                      info->err->msg_parm.i[0]);
        break;
      default:
        info->err->format_message(info, self->message_);
    }
    std::longjmp(self->back_, 1);
  }

  /// libjpeg fills what is missing with grey and calls that a warning.
  static void warn(j_common_ptr info, int level) {
    if (level >= 0) return;
    ++info->err->num_warnings;
    switch (info->err->msg_code) {
      case JWRN_JPEG_EOF:
      case JWRN_HIT_MARKER:
      case JWRN_HUFF_BAD_CODE:
      case JWRN_ARITH_BAD_CODE:
      case JWRN_MUST_RESYNC:
        leave(info);
      default:
        break;  // stray bytes between segments and the like, which Pillow overlooks too
    }
  }

  static void count_scans(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= most_scans) return;
    auto* self = static_cast<JpegDecoder*>(info->client_data);
    std::snprintf(self->message_, sizeof self->message_, "it has more than %d scans", most_scans);
    std::longjmp(self->back_, 1);
  }

  jpeg_decompress_struct info_;
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf back_{};
  char message_[JMSG_LENGTH_MAX] = "";
};

}  // namespace

Tensor<std::uint8_t> decode_jpeg(std::string_view bytes, std::string_view name,
                                 const ImageOptions& options) {
  const auto damaged = [&](const JpegDecoder& decoder) {
    fail("read_image", name, ": the image is damaged: ", decoder.message());
  };
  JpegDecoder decoder;
  if (!decoder.read_header(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()))
    damaged(decoder);
  const std::int64_t width = decoder.width(), height = decoder.height(), pixels = width * height;
  if (pixels < 1 || pixels > options.max_pixels) {
    fail("read_image", name, ": the image has ", width, " x ", height, " pixels, at most ",
         options.max_pixels, " in all are allowed");
  }
  const int components = decoder.components();
  if (components != 1 && components != 3 && components != 4) {
    fail("read_image", name, ": expected a JPEG of 1, 3 or 4 components, got ", components);
  }
  Tensor<std::uint8_t> out(Shape{height, width, 3});
  std::vector<unsigned char> row(components == 4 ? static_cast<std::size_t>(width) * 4 : 0);
  if (!decoder.read_pixels(out.mutable_data(), row.data())) damaged(decoder);
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
