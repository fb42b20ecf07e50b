#include "tandem/clip/preprocess.hpp"

#include <doctest/doctest.h>

#include "../io/picture.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/io/image.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/tensor/factory.hpp"

using namespace tandem;
using namespace tandem_test;
using Image = Tensor<std::uint8_t>;

namespace {

const io::Npz& golden_arrays() {
  static const auto npz = io::Npz::open(TANDEM_GOLDEN_DIR "/clip_preprocess.npz");
  return npz;
}

std::size_t differences(const Image& a, const Image& b) {
  if (a.shape() != b.shape()) return static_cast<std::size_t>(-1);
  const auto x = a.to_vector(), y = b.to_vector();
  std::size_t count = 0;
  for (std::size_t i = 0; i < x.size(); ++i) count += x[i] != y[i];
  return count;
}

}  // namespace

TEST_CASE("resize and crop: the bytes of Pillow and torchvision for 240 sizes, on every instruction set") {
  const auto sizes = golden_arrays().at("sizes").tensor<std::int64_t>();
  const auto crc = golden_arrays().at("crc").tensor<std::int64_t>();
  REQUIRE(sizes.shape() == Shape{240, 7});
  const int threads = cpu::num_threads();
  for (const cpu::Isa isa : cpu::supported_isas()) {
    if (isa > cpu::Isa::avx512) break;  // the others compute the same
    const cpu::IsaScope scope(isa);
    for (std::int64_t i = 0; i < sizes.size(0); ++i) {
      const auto at = [&](std::int64_t column) { return sizes.at({i, column}); };
      CAPTURE(cpu::name(isa));
      CAPTURE(i);
      cpu::set_num_threads(i % 2 == 0 ? 1 : 3);
      const Image image = picture(at(0), at(1), at(2), static_cast<std::uint32_t>(i));
      const Image resized = clip::resize_bicubic(image, at(3), at(4));
      const Image cropped = clip::resize_and_crop(image, at(5), at(6));
      if (i < 8) {
        CHECK(differences(resized, golden_arrays().at(concat(i, ".resized")).tensor<std::uint8_t>()) == 0);
        CHECK(differences(cropped, golden_arrays().at(concat(i, ".cropped")).tensor<std::uint8_t>()) == 0);
      }
      CHECK(checksum(resized) == crc.at({i, 0}));
      CHECK(checksum(cropped) == crc.at({i, 1}));
    }
  }
  cpu::set_num_threads(threads);
}

TEST_CASE("preprocess: the bits of ToTensor and Normalize") {
  const auto sizes = golden_arrays().at("sizes").tensor<std::int64_t>();
  const auto want = golden_arrays().at("7.tensor").tensor<float>();
  const Image image = picture(sizes.at({7, 0}), sizes.at({7, 1}), sizes.at({7, 2}), 7);
  const auto got = clip::preprocess(image, {.size = sizes.at({7, 5}), .crop = sizes.at({7, 6})});
  CHECK(got.shape() == want.shape());
  CHECK(got.to_vector() == want.to_vector());
}

TEST_CASE("preprocess: a batch is its images one by one, views are taken as they look") {
  const Image batch = picture(5 * 30, 40, 3, 1).reshape({5, 30, 40, 3});
  const auto all = clip::preprocess(batch, {.size = 20, .crop = 18});
  CHECK(all.shape() == Shape{5, 3, 18, 18});
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto one = clip::preprocess(batch[i], {.size = 20, .crop = 18});
    CHECK(one.shape() == Shape{3, 18, 18});
    CHECK(one.to_vector() == all[i].to_vector());
  }
  const Image turned = batch.transpose(1, 2);
  CHECK(differences(clip::resize_bicubic(turned, 11, 9), clip::resize_bicubic(turned.contiguous(), 11, 9)) ==
        0);
  CHECK(clip::preprocess(Image(Shape{0, 4, 4, 3})).shape() == Shape{0, 3, 224, 224});
}

TEST_CASE("preprocess: sizes as torchvision rounds them") {
  const auto size = [](std::int64_t h, std::int64_t w, std::int64_t to) {
    const auto s = clip::resized_size(h, w, to);
    return std::pair(s.height, s.width);
  };
  CHECK(size(240, 320, 224) == std::pair<std::int64_t, std::int64_t>(224, 298));
  CHECK(size(762, 2162, 224) == std::pair<std::int64_t, std::int64_t>(224, 635));
  CHECK(size(100, 100, 224) == std::pair<std::int64_t, std::int64_t>(224, 224));
  CHECK(size(3, 1, 7) == std::pair<std::int64_t, std::int64_t>(21, 7));
  // round((n − crop) / 2) with halves to even: 0.5 → 0, 1.5 → 2, 2.5 → 2.
  CHECK(clip::detail::crop_axis(5, 4).first == 0);
  CHECK(clip::detail::crop_axis(7, 4).first == 2);
  CHECK(clip::detail::crop_axis(9, 4).first == 2);
  CHECK(clip::detail::crop_axis(8, 4).first == 2);
  CHECK(clip::detail::crop_axis(3, 6).before == 1);
}

TEST_CASE("preprocess: wrong input is refused in a sentence") {
  CHECK(error_of([] { clip::preprocess(Image(Shape{4, 4})); }) ==
        "[resize_and_crop] expected images (H, W, 3) or (N, H, W, 3), or of 4 channels, on the CPU, got "
        "(4, 4)");
  CHECK(contains(error_of([] { clip::resize_bicubic(Image(Shape{4, 4, 2}), 3, 3); }), "got (4, 4, 2)"));
  CHECK(contains(error_of([] { clip::resize_bicubic(Image(Shape{0, 4, 3}), 3, 3); }), "have no pixels"));
  CHECK(contains(error_of([] { clip::resize_bicubic(Image(Shape{4, 4, 3}), 0, 3); }), "it is 0 x 3"));
  CHECK(contains(error_of([] { clip::preprocess(Image(Shape{4, 4, 3}), {.size = 0}); }), "got 0 and 224"));
  CHECK(contains(error_of([] { clip::preprocess(Image(Shape{4, 4, 3}), {.crop = -1}); }), "224 and -1"));
  CHECK(contains(error_of([] { clip::preprocess(Image(Shape{4, 4, 3}), {.std = {1, 0, 1}}); }),
                 "channel 1 must be positive"));
}

TEST_CASE("preprocess: a picture a million times as long as it is wide costs only its crop") {
  Image thin = full<std::uint8_t>({1, 100000, 3}, 9);
  const Image cropped = clip::resize_and_crop(thin, 224, 224);
  CHECK(cropped.shape() == Shape{224, 224, 3});
  CHECK(cropped.at({100, 100, 1}) == 9);
}

TEST_CASE("preprocess: the published pictures") {
  if (test_data("clip/preprocess_golden").empty()) return;
  const auto read = [](const char* name) {
    return io::read_image(test_data(std::string("clip/") + name), {.alpha = true});
  };
  const Image frame = read("preprocess_golden/v_GGSY1Qvo990_f0140_full.png");
  CHECK(differences(clip::resize_and_crop(frame),
                    read("preprocess_golden/v_GGSY1Qvo990_f0140_pil_bicubic_224.png")) == 0);
  const Image diagram = read("CLIP.png");
  CHECK(diagram.shape() == Shape{762, 2162, 4});
  CHECK(differences(clip::resize_and_crop(diagram), read("preprocess_golden/CLIP_pil_bicubic_224.png")) == 0);
  const auto want = io::load_npy(test_data("clip/preprocess_golden/CLIP_tensor_chw_f32.npy")).tensor<float>();
  CHECK(clip::preprocess(diagram).to_vector() == want.to_vector());
}
