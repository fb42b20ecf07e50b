#pragma once
/// Images: PNG and JPEG files to (H, W, 3) bytes and back to PNG, through stb_image and
/// libjpeg-turbo.
///
///   Tensor<std::uint8_t> frame = io::read_image("frame.jpg");   // (H, W, 3), red, green, blue
///   io::write_png("frame.png", frame);
///
/// This header only declares. The definitions, and the libraries with them, are in two source
/// files: link tandem::image, or compile src/image_*.cpp with the program (and link libjpeg and
/// zlib).
///
/// Pixels are those of Pillow's Image.open(path).convert("RGB"): grey is repeated, alpha and
/// transparent colours are dropped without blending, palettes are looked up, colours of 16 bits
/// keep their upper 8, grey of 16 bits without alpha is cut off at 255; inks (CMYK) are inverted as
/// Adobe stores them. The bytes are equal, for JPEG too, of any chroma sampling (with
/// libjpeg-turbo; other builds of libjpeg may round otherwise). As there, **EXIF orientation is not
/// applied**: pixels come as they are stored. Colour profiles and gamma are not applied either.

#include <cstdint>
#include <string>
#include <string_view>

#include "tandem/io/file.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// How an image is read.
struct ImageOptions {
  /// Keep alpha: (H, W, 4) for a PNG that has an alpha channel (of its own, not a transparent
  /// colour).
  bool alpha = false;
  /// More than these, width × height, are an error before anything is decoded; the default is
  /// Pillow's.
  std::int64_t max_pixels = 178956970;
};

/// The image in the bytes of a PNG or JPEG file; `name` is for messages.
/// Errors: another format, an image that is damaged, incomplete or larger than the limit. In a PNG
/// the checksums are compared, and data that inflate to far more than the header's pixels are cut
/// off. In a JPEG every table that a scan uses must be defined, codes must be valid and the end
/// marker present: where others fill in grey, this is an error.
Tensor<std::uint8_t> decode_image(std::string_view bytes, std::string_view name,
                                  const ImageOptions& options = {});

/// Reads a file into (H, W, 3), or with options.alpha perhaps (H, W, 4).
inline Tensor<std::uint8_t> read_image(const std::string& path, const ImageOptions& options = {}) {
  return decode_image(MappedFile::open(path)->text(), path, options);
}

/// The PNG file of an image (H, W, 3), or (H, W) for grey.
std::string encode_png(const Tensor<std::uint8_t>& image);

/// Writes (H, W, 3) or (H, W) as a PNG file, in one step.
inline void write_png(const std::string& path, const Tensor<std::uint8_t>& image) {
  write_text(path, encode_png(image));
}

}  // namespace io
TANDEM_NAMESPACE_END
