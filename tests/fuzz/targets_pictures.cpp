/// PNG, JPEG and .flo.

#include "tandem/flow/flo.hpp"
#include "tandem/image/image.hpp"
#include "tandem/io/inflate.hpp"
#include "tandem/tensor/factory.hpp"
#include "targets.hpp"

namespace fuzz {
namespace {

constexpr io::ImageOptions small{.alpha = true, .max_pixels = 1 << 14};

std::uint32_t big_endian(const std::string& s, std::size_t at) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) out = out << 8 | static_cast<unsigned char>(s[at + i]);
  return out;
}

/// With the right checksum in every chunk: else hardly any damage gets beyond them.
std::string with_checksums(std::string png) {
  for (std::size_t at = 8; at + 12 <= png.size();) {
    const std::size_t length = big_endian(png, at);
    if (length > png.size() - at - 12) break;
    const std::uint32_t sum = io::crc32(std::string_view(png).substr(at + 4, length + 4));
    for (std::size_t i = 0; i < 4; ++i)
      png[at + 8 + length + i] = static_cast<char>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
  return png;
}

}  // namespace

void add_picture_targets(Targets& targets, const Places& places) {
  const auto files = [&](std::initializer_list<const char*> names) {
    std::vector<std::string> out;
    for (const char* name : names)
      out.push_back(io::read_text(places.tests + "/golden/image/" + name));
    return out;
  };
  // A decoded picture has 4 bytes for each of its 2^14 pixels; decoders keep a few more of each.
  targets.push_back(
      {"png",
       files({"pillow.png", "gray1.png", "gray16.png", "gray16_alpha.png", "gray4.png",
              "gray8_transparent.png", "palette2.png", "palette2_transparent.png", "palette8.png",
              "rgb16.png", "rgb8_transparent.png", "rgba16.png", "rgba8.png"}),
       [](const std::string& s) {
         attempt([&] { io::decode_image(with_checksums(s), "fuzz.png", small); });
         io::decode_image(s, "fuzz.png", small);
       }});
  targets.push_back(
      {"jpeg",
       files({"jpeg_422.jpg", "jpeg_420_restart.jpg", "jpeg_422_progressive.jpg", "jpeg_440.jpg",
              "jpeg_cmyk.jpg", "jpeg_422_narrow.jpg", "gray.jpg", "pillow.jpg", "progressive.jpg"}),
       [](const std::string& s) { io::decode_image(s, "fuzz.jpg", small); }});
  const std::string flo = places.scratch + "/seed.flo";
  flow::write_flo(flo, full<float>({2, 3, 2}, 1.5F));
  targets.push_back({"flo", {io::read_text(flo)}, [](const std::string& s) {
                       const Tensor<float> x = flow::decode_flo(s, "fuzz.flo");
                       promise(12 + 4 * static_cast<std::size_t>(x.numel()) == s.size(),
                               "every byte is a flow");
                     }});
}

}  // namespace fuzz
