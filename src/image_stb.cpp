// The definitions of tandem/image/image.hpp, PNG among them: the only place where stb is seen. JPEG
// is in image_jpeg.cpp.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "image_jpeg.hpp"
#include "tandem/image/image.hpp"
#include "tandem/io/inflate.hpp"
#include "tandem/tensor/copy.hpp"

namespace {

/// The largest block of memory that the image being decoded can need: its data are cut off there,
/// whatever they inflate to.
thread_local std::size_t most_memory = 0;
thread_local bool too_much = false;

void* allocate(void* old, std::size_t size) {
  if (size > most_memory) {
    too_much = true;
    return nullptr;
  }
  return std::realloc(old, size);
}

}  // namespace

// Everything of stb stays inside this file, so a program may have its own stb beside it.
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MALLOC(size) allocate(nullptr, size)
#define STBI_REALLOC(old, size) allocate(old, size)
#define STBI_FREE(old) std::free(old)
#define STBI_FAILURE_USERMSG
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#if __has_include(<stb/stb_image.h>)
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#else
#include <stb_image.h>
#include <stb_image_write.h>
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

TANDEM_NAMESPACE_BEGIN
namespace io {
namespace {

constexpr std::string_view png_signature("\x89PNG\r\n\x1a\n", 8);

struct Source {
  std::string_view bytes, name;

  template <class... Pieces>
  [[noreturn]] void error(const Pieces&... pieces) const {
    fail("read_image", name, ": ", pieces...);
  }
  std::uint32_t big_endian(std::size_t at, std::size_t count) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    }
    return value;
  }
};

struct Header {
  std::uint64_t width = 0, height = 0;
  unsigned depth = 0, colour = 0;
  bool interlaced = false;

  bool grey16() const { return depth == 16 && colour == 0; }
  bool alpha() const { return colour == 4 || colour == 6; }
  std::uint64_t bits() const {
    return depth * (colour == 2 ? 3u : colour == 4 ? 2u : colour == 6 ? 4u : 1u);
  }
  /// The bytes that the data inflate to: each row's filter and pixels, in each of the seven passes
  /// if interlaced.
  std::uint64_t bytes() const {
    if (!interlaced) return pass(width, height);
    return pass((width + 7) / 8, (height + 7) / 8) + pass((width + 3) / 8, (height + 7) / 8) +
           pass((width + 3) / 4, (height + 3) / 8) + pass((width + 1) / 4, (height + 3) / 4) +
           pass((width + 1) / 2, (height + 1) / 4) + pass(width / 2, (height + 1) / 2) +
           pass(width, height / 2);
  }

 private:
  std::uint64_t pass(std::uint64_t w, std::uint64_t h) const {
    return w == 0 ? 0 : h * (1 + (w * bits() + 7) / 8);
  }
};

/// What stb does not look at: that a PNG is whole and its checksums right. Returns its header. A
/// palette is filled up to 256 colours with black, for pixels beyond its end, which are black in
/// Pillow and anything in stb; `patched` then receives the new file.
Header check_png(const Source& file, std::string& patched) {
  const std::string_view bytes = file.bytes;
  Header header;
  for (std::size_t at = png_signature.size(), chunk = 0;; ++chunk) {
    if (bytes.size() - at < 12) file.error("the PNG data ends too early, at byte ", bytes.size());
    const std::size_t length = file.big_endian(at, 4);
    const std::string_view type = bytes.substr(at + 4, 4);
    if (length > bytes.size() - at - 12) {
      file.error("the PNG data ends too early: the chunk at byte ", at, " has ", length, " bytes");
    }
    const bool critical = (static_cast<unsigned char>(type[0]) & 32u) == 0;
    if (critical &&
        crc32(bytes.substr(at + 4, length + 4)) != file.big_endian(at + 8 + length, 4)) {
      file.error("the checksum of the PNG chunk at byte ", at, " is wrong: the file is damaged");
    }
    if (chunk == 0) {
      if (type != "IHDR" || length != 13) file.error("a PNG without its header");
      header.width = file.big_endian(at + 8, 4), header.height = file.big_endian(at + 12, 4);
      header.depth = file.big_endian(at + 16, 1), header.colour = file.big_endian(at + 17, 1);
      header.interlaced = bytes[at + 20] != 0;
    }
    if (type == "PLTE" && length < 768 && patched.empty()) {
      patched.assign(bytes.substr(0, at)).append(std::string_view("\0\0\3\0PLTE", 8));
      patched.append(bytes.substr(at + 8, length)).append(768 - length + 4, '\0');
      patched.append(bytes.substr(at + 12 + length));
    }
    if (type == "IEND") return header;
    at += 12 + length;
  }
}

}  // namespace

Tensor<std::uint8_t> decode_image(std::string_view bytes, std::string_view name,
                                  const ImageOptions& options) {
  Source file{bytes, name};
  constexpr std::size_t most = std::size_t{1} << 30;
  if (bytes.size() > most)
    file.error("the file has ", bytes.size(), " bytes, at most ", most, " are read");
  const bool png = bytes.starts_with(png_signature);
  if (!png && !bytes.starts_with("\xFF\xD8\xFF")) file.error("expected a PNG or JPEG file");
  if (!png) return decode_jpeg(bytes, name, options);
  std::string patched;
  const Header header = check_png(file, patched);
  if (!patched.empty()) file.bytes = patched;
  const bool grey16 = header.grey16(), alpha = header.alpha();

  const stbi_uc* data = reinterpret_cast<const stbi_uc*>(file.bytes.data());
  const int size = static_cast<int>(file.bytes.size());
  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_memory(data, size, &width, &height, &channels) == 0) {
    file.error("the image's header is bad: ", stbi_failure_reason());
  }
  const std::int64_t pixels = std::int64_t{width} * height;
  if (pixels < 1 || pixels > options.max_pixels) {
    file.error("the image has ", width, " x ", height, " pixels, at most ", options.max_pixels,
               " in all are allowed");
  }
  // stb doubles the room for the inflated data, and for the file's, as they come; a decoded pixel
  // has 8 bytes at most.
  most_memory = 2 * (std::max<std::size_t>(file.bytes.size(), header.bytes()) + 4096) +
                8 * static_cast<std::size_t>(pixels);
  too_much = false;
  const int wanted = grey16 ? 1 : alpha && options.alpha ? 4 : 3;
  const std::unique_ptr<void, void (*)(void*)> decoded(
      grey16 ? static_cast<void*>(
                   stbi_load_16_from_memory(data, size, &width, &height, &channels, wanted))
             : stbi_load_from_memory(data, size, &width, &height, &channels, wanted),
      stbi_image_free);
  if (decoded == nullptr && too_much) {
    file.error("the image is damaged: its data are more than the ", header.bytes(),
               " bytes that its ", width, " x ", height, " pixels have");
  }
  if (decoded == nullptr) file.error("the image is damaged: ", stbi_failure_reason());

  Tensor<std::uint8_t> out(Shape{height, width, wanted == 4 ? 4 : 3});
  std::uint8_t* to = out.mutable_data();
  if (grey16) {
    const auto* from = static_cast<const stbi_us*>(decoded.get());
    for (std::int64_t i = 0; i < pixels; ++i, to += 3) {
      to[0] = to[1] = to[2] = static_cast<std::uint8_t>(std::min<unsigned>(from[i], 255));
    }
  } else {
    std::memcpy(to, decoded.get(), static_cast<std::size_t>(wanted * pixels));
  }
  return out;
}

std::string encode_png(const Tensor<std::uint8_t>& image) {
  const bool colour = image.rank() == 3 && image.size(2) == 3;
  TANDEM_CHECK((colour || image.rank() == 2) && image.numel() > 0, "encode_png",
               "expected an image (H, W, 3) or (H, W), got ", image.shape());
  const std::int64_t height = image.size(0), width = image.size(1), channels = colour ? 3 : 1;
  TANDEM_CHECK((width * channels + 1) * height <= 1 << 29, "encode_png", "the image ",
               image.shape(), " has more than the 2^29 bytes that can be written");
  const Tensor<std::uint8_t> dense = image.contiguous();
  std::string out;
  const auto append = [](void* context, void* bytes, int count) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(bytes),
                                               static_cast<std::size_t>(count));
  };
  const int done = stbi_write_png_to_func(append, &out, static_cast<int>(width),
                                          static_cast<int>(height), static_cast<int>(channels),
                                          dense.data(), static_cast<int>(width * channels));
  TANDEM_CHECK(done != 0, "encode_png", "there is not enough memory for the image ", image.shape());
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
