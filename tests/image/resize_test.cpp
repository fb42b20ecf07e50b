/// Resizing and cropping against Pillow and torchvision (tests/golden/generate_clip_preprocess.py).

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "../io/util.hpp"
#include "picture.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/image/resize_and_crop.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/tensor/factory.hpp"

using namespace tandem;
using namespace tandem_test;
using Image = Tensor<std::uint8_t>;

TEST_CASE(
    "resize and crop: the bytes of Pillow and torchvision for 240 sizes, on every instruction "
    "set") {
  const auto golden_arrays = io::Npz::open(TANDEM_GOLDEN_DIR "/clip_preprocess.npz");
  const auto sizes = golden_arrays.at("sizes").tensor<std::int64_t>();
  const auto crc = golden_arrays.at("crc").tensor<std::int64_t>();
  REQUIRE(sizes.shape() == Shape{240, 7});
  const int threads = cpu::num_threads();
  // Above AVX-512 the same is computed. Where TANDEM_ISA asks for less, as the search for stack use
  // after return does, that is the most.
  const cpu::Isa most = std::min(cpu::Isa::avx512, cpu::isa());
  for (const cpu::Isa isa : cpu::supported_isas()) {
    if (isa > most) break;
    const cpu::IsaScope scope(isa);
    for (std::int64_t i = 0; i < sizes.size(0); ++i) {
      const auto at = [&](std::int64_t column) { return sizes.at({i, column}); };
      CAPTURE(cpu::name(isa));
      CAPTURE(i);
      cpu::set_num_threads(i % 2 == 0 ? 1 : 3);
      const Image image = picture(at(0), at(1), at(2), static_cast<std::uint32_t>(i));
      const Image resized = io::resize_bicubic(image, at(3), at(4));
      const Image cropped = io::resize_and_crop(image, at(5), at(6));
      if (i < 8) {
        CHECK(differences(resized,
                          golden_arrays.at(concat(i, ".resized")).tensor<std::uint8_t>()) == 0);
        CHECK(differences(cropped,
                          golden_arrays.at(concat(i, ".cropped")).tensor<std::uint8_t>()) == 0);
      }
      CHECK(checksum(resized) == crc.at({i, 0}));
      CHECK(checksum(cropped) == crc.at({i, 1}));
    }
  }
  cpu::set_num_threads(threads);
}

TEST_CASE("resize: views are taken as they look") {
  const Image turned = picture(5 * 30, 40, 3, 1).view({5, 30, 40, 3}).transpose(1, 2);
  CHECK(differences(io::resize_bicubic(turned, 11, 9),
                    io::resize_bicubic(turned.contiguous(), 11, 9)) == 0);
}

TEST_CASE("resized_size and crop_axis: sizes as torchvision rounds them") {
  const auto size = [](std::int64_t h, std::int64_t w, std::int64_t to) {
    const auto s = io::resized_size(h, w, to);
    return std::pair(s.height, s.width);
  };
  CHECK(size(240, 320, 224) == std::pair<std::int64_t, std::int64_t>(224, 298));
  CHECK(size(762, 2162, 224) == std::pair<std::int64_t, std::int64_t>(224, 635));
  CHECK(size(100, 100, 224) == std::pair<std::int64_t, std::int64_t>(224, 224));
  CHECK(size(3, 1, 7) == std::pair<std::int64_t, std::int64_t>(21, 7));
  // round((n − crop) / 2) with halves to even: 0.5 → 0, 1.5 → 2, 2.5 → 2.
  CHECK(io::detail::crop_axis(5, 4).first == 0);
  CHECK(io::detail::crop_axis(7, 4).first == 2);
  CHECK(io::detail::crop_axis(9, 4).first == 2);
  CHECK(io::detail::crop_axis(8, 4).first == 2);
  CHECK(io::detail::crop_axis(3, 6).before == 1);
}

TEST_CASE("resize: wrong input is refused in a sentence") {
  CHECK(contains(error_of([] {
                   io::resize_bicubic(Image(Shape{4, 4, 2}), 3, 3);
                 }),
                 "got (4, 4, 2)"));
  CHECK(contains(error_of([] {
                   io::resize_bicubic(Image(Shape{0, 4, 3}), 3, 3);
                 }),
                 "have no pixels"));
  CHECK(contains(error_of([] { io::resize_bicubic(Image(Shape{4, 4, 3}), 0, 3); }), "it is 0 x 3"));
}

TEST_CASE("resize_and_crop: a picture a million times as long as it is wide costs only its crop") {
  Image thin = full<std::uint8_t>({1, 100000, 3}, 9);
  const Image cropped = io::resize_and_crop(thin, 224, 224);
  CHECK(cropped.shape() == Shape{224, 224, 3});
  CHECK(cropped.at({100, 100, 1}) == 9);
}
