// The definitions of tandem/io/image.hpp: the only place where stb is seen.

#include "tandem/io/image.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "tandem/io/inflate.hpp"
#include "tandem/tensor/copy.hpp"

// Everything of stb stays inside this file, so a program may have its own stb beside it.
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
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

/// What stb does not look at: that a PNG is whole and its checksums right. True for grey of 16 bits
/// without alpha, `alpha` for a channel of it. A palette is filled up to 256 colours with black, for pixels beyond its end, which
/// are black in Pillow and anything in stb; `patched` then receives the new file.
bool check_png(const Source& file, std::string& patched, bool& alpha) {
  const std::string_view bytes = file.bytes;
  bool grey16 = false;
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
      grey16 = bytes[at + 16] == 16 && bytes[at + 17] == 0;
      alpha = bytes[at + 17] == 4 || bytes[at + 17] == 6;
    }
    if (type == "PLTE" && length < 768 && patched.empty()) {
      patched.assign(bytes.substr(0, at)).append(std::string_view("\0\0\3\0PLTE", 8));
      patched.append(bytes.substr(at + 8, length)).append(768 - length + 4, '\0');
      patched.append(bytes.substr(at + 12 + length));
    }
    if (type == "IEND") return grey16;
    at += 12 + length;
  }
}

/// The Huffman tables of the DHT segment whose length is at `at`: at most 256 codes each, as the standard
/// has it. Some versions of stb write as many as are promised, beyond the end of their table.
void check_huffman_tables(const Source& file, std::size_t at) {
  const std::size_t size = file.bytes.size();
  if (size - at < 2) return;  // ends here: stb finds no table either
  auto left = static_cast<std::int64_t>(file.big_endian(at, 2)) - 2;
  for (std::size_t table = at + 2; left > 0 && table < size;) {
    std::size_t codes = 0;
    for (std::size_t i = 1; i <= 16 && table + i < size; ++i) {
      codes += static_cast<unsigned char>(file.bytes[table + i]);
    }
    if (codes > 256) {
      file.error("the Huffman table at byte ", table, " has ", codes, " codes, at most 256 are allowed");
    }
    table += 17 + codes;
    left -= static_cast<std::int64_t>(17 + codes);
  }
}

/// stb fills a JPEG that ends too early with grey; the end marker must follow the first scan. Every
/// Huffman table is looked at: in a scan the bytes FF C4 are always a marker.
void check_jpeg(const Source& file) {
  const std::string_view bytes = file.bytes;
  for (std::size_t at = 2; bytes.size() - at >= 4;) {
    const auto byte = static_cast<unsigned char>(bytes[at]);
    if (byte != 0xFF) file.error("expected a JPEG marker at byte ", at);
    const auto marker = static_cast<unsigned char>(bytes[at + 1]);
    if (marker == 0xFF) {  // padding
      ++at;
    } else if (marker == 0xDA) {
      for (std::size_t dht = at; (dht = bytes.find("\xFF\xC4", dht)) != std::string_view::npos;) {
        check_huffman_tables(file, dht += 2);
      }
      if (bytes.find("\xFF\xD9", at) != std::string_view::npos) return;
      break;
    } else {
      if (marker == 0xC4) check_huffman_tables(file, at + 2);
      const std::size_t length = file.big_endian(at + 2, 2);
      if (length < 2 || length > bytes.size() - at - 2) break;
      at += 2 + length;
    }
  }
  file.error("the JPEG data ends too early, at byte ", bytes.size());
}

}  // namespace

Tensor<std::uint8_t> decode_image(std::string_view bytes, std::string_view name,
                                  const ImageOptions& options) {
  Source file{bytes, name};
  constexpr std::size_t most = std::size_t{1} << 30;
  if (bytes.size() > most) file.error("the file has ", bytes.size(), " bytes, at most ", most, " are read");
  const bool png = bytes.starts_with(png_signature);
  if (!png && !bytes.starts_with("\xFF\xD8\xFF")) file.error("expected a PNG or JPEG file");
  bool grey16 = false, alpha = false;
  std::string patched;
  if (png) {
    grey16 = check_png(file, patched, alpha);
    if (!patched.empty()) file.bytes = patched;
  } else {
    check_jpeg(file);
  }

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
  const int wanted = grey16 ? 1 : alpha && options.alpha ? 4 : 3;
  const std::unique_ptr<void, void (*)(void*)> decoded(
      grey16 ? static_cast<void*>(
                   stbi_load_16_from_memory(data, size, &width, &height, &channels, wanted))
             : stbi_load_from_memory(data, size, &width, &height, &channels, wanted),
      stbi_image_free);
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
  TANDEM_CHECK((width * channels + 1) * height <= 1 << 29, "encode_png", "the image ", image.shape(),
               " has more than the 2^29 bytes that can be written");
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
