#include "tandem/io/image.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

#include "tandem/io/npz.hpp"
#include "tandem/tensor/factory.hpp"
#include "temp_dir.hpp"
#include "util.hpp"

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

TEST_CASE("image: every kind of PNG has the pixels of Pillow's RGB, a JPEG nearly") {
  const auto npz = io::Npz::open(TANDEM_GOLDEN_DIR "/clip_preprocess.npz");
  const auto names = golden_names();
  REQUIRE(names.size() == 22);
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto want = npz.at("image/" + name).tensor<std::uint8_t>();
    const Image got = io::read_image(folder() + name);
    REQUIRE(got.shape() == want.shape());
    const auto a = got.to_vector(), b = want.to_vector();
    if (name.ends_with(".png")) {
      CHECK(a == b);
      continue;
    }
    // Decoders may round each of their steps (inverse cosine transform, chroma interpolation, colour)
    // differently; a wrong sample would be far away.
    int largest = 0;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::abs(a[i] - b[i]));
      sum += std::abs(a[i] - b[i]);
    }
    CHECK(largest <= 8);
    CHECK(static_cast<double>(sum) / static_cast<double>(a.size()) < 1);
  }
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
    for (const std::size_t dht : {good.find("\xFF\xC4"), good.rfind("\xFF\xC4")}) {  // of a later scan, too
      std::string many = good;
      for (std::size_t n = 0; n < 16; ++n) many[dht + 5 + n] = '\xFF';
      CHECK(contains(decode_error(many), "has 4080 codes, at most 256 are allowed"));
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
  for (int i = 0; i < 4; ++i) huge[29 + static_cast<std::size_t>(i)] = static_cast<char>(sum >> (24 - 8 * i));
  CHECK(contains(decode_error(huge), "the image is damaged"));
}

TEST_CASE("image: damage at random gives pixels or an error") {
  std::mt19937 random(5);
  std::size_t errors = 0, good = 0;
  for (const char* name : {"pillow.jpg", "progressive.jpg", "gray.jpg", "palette8.png", "pillow.png"}) {
    const std::string whole = bytes_of(name);
    for (int trial = 0; trial < 400; ++trial) {
      std::string bytes = whole;
      for (std::size_t count = 1 + random() % 4; count > 0; --count) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      (decode_error(bytes, {.max_pixels = 1 << 20}) == "no error" ? good : errors) += 1;
    }
  }
  CHECK(errors > 100);
  CHECK(good > 0);
}
