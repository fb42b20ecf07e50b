#include "tandem/image/image.hpp"

#include <doctest/doctest.h>
#include <malloc.h>
#include <zlib.h>

#include <cstdlib>
#include <random>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/tensor/factory.hpp"

using namespace tandem;
using namespace tandem_test;
using Image = Tensor<std::uint8_t>;

namespace {

std::string folder() { return TANDEM_GOLDEN_DIR "/image/"; }
std::string bytes_of(const std::string& name) { return io::read_text(folder() + name); }

std::string decode_error(const std::string& bytes, const io::ImageOptions& options = {}) {
  return error_of([&] { io::decode_image(bytes, "a.png", options); });
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  static const auto npz = io::Npz::open(TANDEM_GOLDEN_DIR "/clip_preprocess.npz");
  for (const std::string& name : npz.names()) {
    if (name.starts_with("image/")) names.push_back(name.substr(6));
  }
  return names;
}

}  // namespace

TEST_CASE("image: every kind of PNG and JPEG has the pixels of Pillow's RGB") {
  const auto npz = io::Npz::open(TANDEM_GOLDEN_DIR "/clip_preprocess.npz");
  const auto names = golden_names();
  REQUIRE(names.size() == 22);
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto want = npz.at("image/" + name).tensor<std::uint8_t>();
    const Image got = io::read_image(folder() + name);
    REQUIRE(got.shape() == want.shape());
    CHECK(got.to_vector() == want.to_vector());
  }
}

TEST_CASE("image: JPEGs of every chroma sampling have Pillow's pixels, the last columns too") {
  const auto npz = io::Npz::open(TANDEM_GOLDEN_DIR "/image_jpeg.npz");
  std::size_t files = 0;
  for (const std::string& name : npz.names()) {
    if (name == "provenance") continue;
    CAPTURE(name);
    const auto want = npz.at(name).tensor<std::uint8_t>();
    const Image got = io::read_image(folder() + "jpeg_" + name + ".jpg");
    REQUIRE(got.shape() == want.shape());
    CHECK(got.to_vector() == want.to_vector());
    ++files;
  }
  CHECK(files == 10);
}

TEST_CASE("image: alpha is kept on demand") {
  const io::ImageOptions keep{.alpha = true};
  CHECK(io::read_image(folder() + "rgba8.png", keep).to_vector() ==
        std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 0});
  CHECK(io::read_image(folder() + "rgba16.png", keep).to_vector() ==
        std::vector<std::uint8_t>{0x12, 0xFF, 0x80, 0x40, 0, 0, 3, 0});
  CHECK(io::read_image(folder() + "gray8_alpha.png", keep).at({0, 1, 3}) == 255);
  // A transparent colour is no channel, nor is there one in other files.
  CHECK(io::read_image(folder() + "rgb8_transparent.png", keep).size(2) == 3);
  CHECK(io::read_image(folder() + "palette2_transparent.png", keep).size(2) == 3);
  CHECK(io::read_image(folder() + "gray16.png", keep).size(2) == 3);
  CHECK(io::read_image(folder() + "pillow.jpg", keep).size(2) == 3);
}

TEST_CASE("image: what is written is read again") {
  const TempDir dir;
  std::mt19937 random(3);
  for (const Shape& shape : {Shape{1, 1, 3}, Shape{7, 5, 3}, Shape{64, 33, 3}, Shape{6, 9}}) {
    Image image(shape);
    for (std::int64_t i = 0; i < image.numel(); ++i) {
      image.mutable_data()[i] = static_cast<std::uint8_t>(random() % 256);
    }
    io::write_png(dir.path("a.png"), image);
    const Image again = io::read_image(dir.path("a.png"));
    CHECK(again.size(0) == shape[0]);
    CHECK(again.size(1) == shape[1]);
    const Image same = shape.rank() == 3 ? again : again.select(2, 1);
    CHECK(same.to_vector() == image.to_vector());
  }
  const Image view = full<std::uint8_t>({4, 6, 3}, 5).transpose(0, 1);
  CHECK(io::decode_image(io::encode_png(view), "view").shape() == Shape{6, 4, 3});
  CHECK(contains(error_of([] { io::encode_png(Image(Shape{2, 2, 4})); }), "got (2, 2, 4)"));
  CHECK(contains(error_of([] { io::encode_png(Image(Shape{0, 2, 3})); }), "got (0, 2, 3)"));
  CHECK(contains(error_of([&] { io::write_png(dir.path("no/a.png"), view); }), "no/a.png"));
}

TEST_CASE("image: damaged files and limits are refused in a sentence") {
  CHECK(decode_error("GIF89a") == "[read_image] a.png: expected a PNG or JPEG file");
  CHECK(contains(error_of([] { io::read_image("/no/such.png"); }), "cannot open the file"));
  const std::string png = bytes_of("pillow.png"), jpeg = bytes_of("pillow.jpg");
  CHECK(decode_error(png, {.max_pixels = 23 * 31 - 1}) ==
        "[read_image] a.png: the image has 31 x 23 pixels, at most 712 in all are allowed");
  CHECK(decode_error(png, {.max_pixels = 23 * 31}) == "no error");
  std::string flipped = png;
  flipped[png.size() - 30] ^= 1;
  CHECK(contains(decode_error(flipped), "the file is damaged"));
  // Cut anywhere: always an error, for both formats.
  for (const std::string& good : {jpeg, bytes_of("progressive.jpg")}) {
    for (const std::size_t dht :
         {good.find("\xFF\xC4"), good.rfind("\xFF\xC4")}) {  // of a later scan, too
      std::string many = good;
      for (std::size_t n = 0; n < 16; ++n) many[dht + 5 + n] = '\xFF';
      CHECK(contains(decode_error(many), "Huffman table"));
    }
  }
  for (const std::string& whole : {png, jpeg, bytes_of("progressive.jpg")}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      // A JPEG without the two bytes of its end marker is one without its end.
      CHECK_MESSAGE(decode_error(whole.substr(0, size)) != "no error", "cut at ", size);
    }
    CHECK(decode_error(whole) == "no error");
  }
  std::string huge = png;  // a header that promises more than there is, with its right checksum
  huge[18] = '\x10';
  const std::uint32_t sum = io::crc32(std::string_view(huge).substr(12, 17));
  for (int i = 0; i < 4; ++i)
    huge[29 + static_cast<std::size_t>(i)] = static_cast<char>(sum >> (24 - 8 * i));
  CHECK(contains(decode_error(huge), "the image is damaged"));
}

namespace {

/// The JPEG without those of its segments of type `marker` that `drop` (counted from 0) selects.
template <class Drop>
std::string without_segments(const std::string& jpeg, int marker, Drop&& drop) {
  std::string out = jpeg.substr(0, 2);
  std::size_t count = 0;
  for (std::size_t at = 2; at + 4 <= jpeg.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(jpeg[at + i]); };
    std::size_t length = 2u + byte(2) * 256u + byte(3);
    if (byte(1) == 0xDA) {  // with the scan's data
      while (at + length + 1 < jpeg.size() &&
             (byte(length) != 0xFF || byte(length + 1) == 0 || (byte(length + 1) & 0xF8) == 0xD0)) {
        ++length;
      }
    }
    if (byte(1) != marker || !drop(count++)) out.append(jpeg, at, length);
    at += length;
  }
  return out + "\xFF\xD9";
}

/// What decoding gives while fresh memory holds `filler`.
std::string outcome(const std::string& bytes, int filler) {
  ::mallopt(M_PERTURB, filler);
  std::string out;
  try {
    const Image image = io::decode_image(bytes, "a.png", {.max_pixels = 1 << 20});
    out.assign(reinterpret_cast<const char*>(image.data()),
               static_cast<std::size_t>(image.numel()));
  } catch (const Error& e) {
    out = e.what();
  }
  ::mallopt(M_PERTURB, 0);
  return out;
}

}  // namespace

TEST_CASE("image: a JPEG that lacks a table is refused, whatever the heap holds") {
  // Pillow's files have their tables one to a segment: each is missing once, then all of a kind.
  std::size_t refused = 0;
  for (const char* name :
       {"pillow.jpg", "progressive.jpg", "gray.jpg", "jpeg_420_restart.jpg", "jpeg_cmyk.jpg"}) {
    const std::string whole = bytes_of(name);
    REQUIRE(without_segments(whole, 0xC4, [](std::size_t) { return false; }) == whole);
    for (const int marker : {0xC4, 0xDB}) {
      std::size_t segments = 0;
      without_segments(whole, marker, [&](std::size_t) { return ++segments, false; });
      // A progressive file defines tables again for later scans, which without have the earlier
      // ones.
      const bool again = name == std::string("progressive.jpg") && marker == 0xC4;
      for (std::size_t one = again ? segments : 0; one <= segments; ++one) {
        const std::string bytes = without_segments(
            whole, marker, [&](std::size_t i) { return one == segments || i == one; });
        CAPTURE(name);
        CAPTURE(marker);
        CAPTURE(one);
        const std::string problem = outcome(bytes, 0);
        CHECK(contains(problem, marker == 0xC4 ? "Huffman" : "quantization table"));
        CHECK(outcome(bytes, 129) == problem);
        ++refused;
      }
    }
  }
  CHECK(refused > 20);
}

TEST_CASE("image: the JPEGs of the test data's cases") {
  for (const char* name :
       {"one_huffman_table_missing.jpg", "no_huffman_tables.jpg", "scan_without_tables.jpg"}) {
    CAPTURE(name);
    const std::string path = test_data(std::string("../cases/image/") + name);
    if (path.empty()) return;
    const std::string bytes = io::read_text(path), problem = outcome(bytes, 0);
    CHECK(contains(problem, "[read_image]"));
    CHECK(outcome(bytes, 129) == problem);
  }
  const Image image = io::read_image(test_data("../cases/image/subsampled_422.jpg"));
  CHECK(image.select(1, 14).select(0, 0).to_vector() == std::vector<std::uint8_t>{50, 0, 180});
}

TEST_CASE("image: a PNG is cut off at the size that its header implies") {
  // 4 × 4 pixels, 16 MiB of zeros: 16 KiB of file. Both kinds of rows.
  const auto chunk = [](std::string type, const std::string& data) {
    const auto number = [](std::uint32_t n) {
      std::string out(4, '\0');
      for (int i = 0; i < 4; ++i)
        out[static_cast<std::size_t>(i)] = static_cast<char>(n >> (24 - 8 * i));
      return out;
    };
    type += data;
    return number(static_cast<std::uint32_t>(data.size())) + type + number(io::crc32(type));
  };
  const auto png = [&](std::size_t bytes, char interlaced) {
    std::string zeros(bytes, '\0'), squeezed(compressBound(bytes), '\0');
    uLongf size = squeezed.size();
    REQUIRE(compress2(reinterpret_cast<Bytef*>(squeezed.data()), &size,
                      reinterpret_cast<Bytef*>(zeros.data()), bytes, 9) == Z_OK);
    const std::string header = std::string("\0\0\0\4\0\0\0\4\x08\2\0\0", 12) + interlaced;
    // Two IDAT chunks: the data are one stream.
    return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", squeezed.substr(0, 7)) +
           chunk("IDAT", squeezed.substr(7, size - 7)) + chunk("IEND", "");
  };
  for (const char interlaced : {char{0}, char{1}}) {
    // Rows in the passes: 1, 0, 0, 1, 1, 2, 2
    const std::size_t whole = interlaced == 0 ? 4 * 13 : 4 * 12 + 7;
    CHECK(decode_error(png(whole, interlaced)) == "no error");
    // As Pillow, which reads what it needs
    CHECK(decode_error(png(whole + 100, interlaced)) == "no error");
    CHECK(contains(decode_error(png(whole - 1, interlaced)), "the image is damaged"));
    CHECK(contains(decode_error(png(16 << 20, interlaced)),
                   "its data are more than the " + std::to_string(whole) +
                       " bytes that its 4 x 4 pixels have"));
  }
}

TEST_CASE("image: damage at random gives pixels or an error, the same whatever the heap holds") {
  std::mt19937 random(5);
  std::size_t errors = 0, good = 0;
  for (const char* name : {"pillow.jpg", "progressive.jpg", "gray.jpg", "palette8.png",
                           "pillow.png", "gray2.png", "jpeg_422_progressive.jpg"}) {
    const std::string whole = bytes_of(name);
    for (int trial = 0; trial < 400; ++trial) {
      std::string bytes = whole;
      for (std::size_t count = 1 + random() % 4; count > 0; --count) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      const std::string result = outcome(bytes, 0);
      CHECK(outcome(bytes, 129) == result);
      (contains(result, "[read_image]") ? errors : good) += 1;
    }
  }
  CHECK(errors > 100);
  CHECK(good > 0);
}
