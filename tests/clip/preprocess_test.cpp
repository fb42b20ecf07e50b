#include "tandem/clip/preprocess.hpp"

#include <doctest/doctest.h>

#include "../image/picture.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/image/image.hpp"
#include "tandem/io/npz.hpp"

using namespace tandem;
using namespace tandem_test;
using Image = Tensor<std::uint8_t>;

namespace {

const io::Npz& golden_arrays() {
  static const auto npz = io::Npz::open(TANDEM_GOLDEN_DIR "/clip_preprocess.npz");
  return npz;
}

}  // namespace

TEST_CASE("preprocess: the bits of ToTensor and Normalize") {
  const auto sizes = golden_arrays().at("sizes").tensor<std::int64_t>();
  const auto want = golden_arrays().at("7.tensor").tensor<float>();
  const Image image = picture(sizes.at({7, 0}), sizes.at({7, 1}), sizes.at({7, 2}), 7);
  const auto got = clip::preprocess(image, {.size = sizes.at({7, 5}), .crop = sizes.at({7, 6})});
  CHECK(got.shape() == want.shape());
  CHECK(got.to_vector() == want.to_vector());
}

TEST_CASE("preprocess: a batch is its images one by one") {
  const Image batch = picture(5 * 30, 40, 3, 1).reshape({5, 30, 40, 3});
  const auto all = clip::preprocess(batch, {.size = 20, .crop = 18});
  CHECK(all.shape() == Shape{5, 3, 18, 18});
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto one = clip::preprocess(batch[i], {.size = 20, .crop = 18});
    CHECK(one.shape() == Shape{3, 18, 18});
    CHECK(one.to_vector() == all[i].to_vector());
  }
  CHECK(clip::preprocess(Image(Shape{0, 4, 4, 3})).shape() == Shape{0, 3, 224, 224});
}

TEST_CASE("preprocess: squashed, and with the other filter, as io::resize has them") {
  for (const std::int64_t channels : {3, 4}) {
    const Image image = picture(30, 50, channels, 5);
    const auto check = [&](const clip::PreprocessOptions& o, const Image& want) {
      const auto got = clip::preprocess(image, o),
                 plain = clip::preprocess(want, {.size = o.crop, .crop = o.crop});
      CHECK(got.shape() == Shape{3, o.crop, o.crop});
      // A picture of the right size is only normalised
      CHECK(got.to_vector() == plain.to_vector());
    };
    const auto opaque = [](const Image& x) {
      return x.size(-1) == 3 ? x : x.slice(-1, 0, 3).contiguous();
    };
    check({.size = 20, .crop = 20, .squash = true}, opaque(io::resize_bicubic(image, 20, 20)));
    check({.size = 20, .crop = 20, .filter = io::ResizeFilter::bilinear, .squash = true},
          opaque(io::resize_bilinear(image, 20, 20)));
    check({.size = 20, .crop = 16, .filter = io::ResizeFilter::bilinear},
          io::resize_and_crop(image, 20, 16, io::ResizeFilter::bilinear));
  }
}

TEST_CASE("preprocess: wrong input is refused in a sentence") {
  CHECK(error_of([] {
          clip::preprocess(Image(Shape{4, 4}));
        }) ==
        "[resize_and_crop] expected images (H, W, 3) or (N, H, W, 3), or of 4 channels, got "
        "(4, 4)");
  CHECK(contains(error_of([] {
                   clip::preprocess(Image(Shape{4, 4, 3}), {.size = 0});
                 }),
                 "got 0 and 224"));
  CHECK(contains(error_of([] {
                   clip::preprocess(Image(Shape{4, 4, 3}), {.crop = -1});
                 }),
                 "224 and -1"));
  CHECK(contains(error_of([] {
                   clip::preprocess(Image(Shape{4, 4, 3}), {.std = {1, 0, 1}});
                 }),
                 "channel 1 must be positive"));
}

TEST_CASE("preprocess: the published pictures") {
  if (test_data("clip/preprocess_golden").empty()) return;
  const auto read = [](const char* name) {
    return io::read_image(test_data(std::string("clip/") + name), {.alpha = true});
  };
  const Image frame = read("preprocess_golden/v_GGSY1Qvo990_f0140_full.png");
  CHECK(differences(io::resize_and_crop(frame),
                    read("preprocess_golden/v_GGSY1Qvo990_f0140_pil_bicubic_224.png")) == 0);
  const Image diagram = read("CLIP.png");
  CHECK(diagram.shape() == Shape{762, 2162, 4});
  CHECK(differences(io::resize_and_crop(diagram),
                    read("preprocess_golden/CLIP_pil_bicubic_224.png")) == 0);
  const auto want =
      io::load_npy(test_data("clip/preprocess_golden/CLIP_tensor_chw_f32.npy")).tensor<float>();
  CHECK(clip::preprocess(diagram).to_vector() == want.to_vector());
}
