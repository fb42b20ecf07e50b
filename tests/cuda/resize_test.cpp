/// What CLIP and I3D do with pictures, on every device: the CPU's bytes, and its bits of floats.

#include <vector>

#include "../image/picture.hpp"
#include "devices.hpp"
#include "tandem/clip/preprocess.hpp"
#include "tandem/i3d/preprocess.hpp"
#include "tandem/image/gray.hpp"
#include "tandem/ops/arithmetic.hpp"

using namespace tandem;
namespace resize_test {
namespace {

using Image = Tensor<std::uint8_t>;

/// Sizes before and after: one pixel, primes, shrinking and growing, one axis or both as they are.
struct Case {
  std::int64_t height, width, to_height, to_width;
};
const std::vector<Case> cases = {
    {1, 1, 1, 1},     {1, 7, 3, 2},     {31, 33, 31, 33}, {31, 33, 7, 33}, {31, 33, 31, 5},
    {37, 41, 13, 11}, {13, 11, 37, 41}, {97, 5, 6, 29},   {6, 101, 19, 8}, {64, 96, 32, 32}};

/// The same bytes on every device, in every order, and nothing written beside the result.
template <class F>
void same_everywhere(const F& f, const Image& images) {
  const auto expected = f(images);
  devices::each([&](Device device) {
    const std::int64_t waited = waits();
    const auto got = f(images.to(device));
    CHECK(waits() == waited);
    CHECK(got.device() == device);
    CHECK(check::same(got.to(Device::cpu()), expected));
  });
}

}  // namespace

TEST_CASE("resize: the CPU's bytes for odd sizes, both filters, with and without alpha") {
  for (const Case& c : cases) {
    CAPTURE(c.height);
    CAPTURE(c.width);
    for (const std::int64_t channels : {3, 4}) {
      for (const io::ResizeFilter filter :
           {io::ResizeFilter::bicubic, io::ResizeFilter::bilinear}) {
        const auto seed = static_cast<std::uint32_t>(c.height + channels);
        const auto resized = [&](const Image& x) {
          return io::resize(x, c.to_height, c.to_width, filter);
        };
        same_everywhere(resized, tandem_test::picture(c.height, c.width, channels, seed));
        if (c.height > 40) continue;
        same_everywhere(resized, tandem_test::picture(3 * c.height, c.width, channels, seed)
                                     .reshape({3, c.height, c.width, channels}));
      }
    }
  }
  same_everywhere([](const Image& x) { return io::resize_bicubic(x, 5, 6); }, Image({0, 4, 4, 3}));
}

TEST_CASE("resize_and_crop: the CPU's bytes, black around what is smaller than the crop, views") {
  struct Crop {
    std::int64_t height, width, size, crop;
  };
  for (const Crop& c : {Crop{37, 53, 20, 17}, Crop{37, 53, 37, 30}, Crop{53, 37, 16, 16},
                        Crop{9, 31, 7, 12}, Crop{2, 3, 5, 9}, Crop{31, 31, 31, 31}}) {
    CAPTURE(c.height);
    CAPTURE(c.crop);
    for (const std::int64_t channels : {3, 4}) {
      const auto cropped = [&](const Image& x) { return io::resize_and_crop(x, c.size, c.crop); };
      const Image batch = tandem_test::picture(2 * c.height, c.width, channels, 7)
                              .reshape({2, c.height, c.width, channels});
      same_everywhere(cropped, batch);
      same_everywhere(cropped, batch.transpose(1, 2));
      same_everywhere(cropped, batch[1]);
    }
  }
  // What lies beside the pictures is not read: they end where their memory ends, or other bytes do.
  const Image picture = tandem_test::picture(23, 19, 3, 5);
  devices::each([&](Device device) {
    const devices::Inside<std::uint8_t> inside(picture, device, 255);
    CHECK(check::same(io::resize_and_crop(inside.part, 11, 9).to(Device::cpu()),
                      io::resize_and_crop(picture, 11, 9)));
    CHECK(inside.margins_stand());
  });
}

TEST_CASE("preprocess: CLIP's and I3D's floats have the CPU's bits, and launch three kernels") {
  for (const std::int64_t channels : {3, 4}) {
    const Image batch =
        tandem_test::picture(3 * 29, 37, channels, 8).reshape({3, 29, 37, channels});
    const clip::PreprocessOptions small{.size = 19, .crop = 17};
    const auto prepared = [&](const Image& x) { return clip::preprocess(x, small); };
    same_everywhere(prepared, batch);
    same_everywhere(prepared, batch[2]);
    const clip::PreprocessOptions squashed{
        .crop = 23, .filter = io::ResizeFilter::bilinear, .squash = true};
    same_everywhere([&](const Image& x) { return clip::preprocess(x, squashed); }, batch);
  }
  const Image frames = tandem_test::picture(4 * 29, 37, 3, 9).reshape({4, 29, 37, 3});
  same_everywhere([](const Image& x) { return i3d::preprocess_rgb(x, {.size = 19, .crop = 17}); },
                  frames);
  const Image there = frames.to(Device::cuda());
  const std::int64_t launched = kernel_launches();
  (void)clip::preprocess(there, {.size = 19, .crop = 17});
  CHECK(kernel_launches() - launched == 3);
}
TEST_CASE("rgb_to_gray: the CPU's bytes, views, and none") {
  const auto gray = [](const Image& x) { return io::rgb_to_gray(x); };
  for (const std::int64_t n : devices::sizes)
    same_everywhere(gray, tandem_test::picture(n, 3, 3, static_cast<std::uint32_t>(n)));
  same_everywhere(gray, tandem_test::picture(2 * 17, 9, 3, 5).reshape({2, 17, 9, 3}));
  same_everywhere([&](const Image& x) { return gray(x.transpose(0, 1)); },
                  tandem_test::picture(13, 40, 3, 6));
  same_everywhere(gray, Image({0, 4, 3}));
}

TEST_CASE("preprocess_flow: the CPU's bits, resized, only cropped, one axis of both") {
  for (const Case& c : cases) {
    for (const io::ResizeFilter filter : {io::ResizeFilter::bicubic, io::ResizeFilter::bilinear}) {
      const std::int64_t least = std::min(c.height, c.width);
      for (const std::int64_t size : {least, 2 * least + 1, (least + 1) / 2}) {
        CAPTURE(c.height);
        CAPTURE(c.width);
        CAPTURE(size);
        const Tensor<float> field =
            check::cast<float>(check::normal({3, c.height, c.width, 2}, 4)) * 3.0F;
        const i3d::PreprocessOptions o{
            .size = size, .crop = size > 3 ? size - 2 : size, .filter = filter, .bound = 5};
        const Tensor<float> expected = i3d::preprocess_flow(field, o);
        devices::each([&](Device device) {
          const std::int64_t waited = waits();
          const Tensor<float> got = i3d::preprocess_flow(field.to(device), o);
          CHECK(waits() == waited);
          CHECK(got.device() == device);
          CHECK(check::same(got.to(Device::cpu()), expected));
        });
      }
    }
  }
  Tensor<float> field = zeros<float>({1, 6, 6, 2});
  field.set({0, 2, 3, 1}, NAN);
  field.set({0, 2, 4, 0}, INFINITY);
  const Tensor<float> got =
      i3d::preprocess_flow(field.to(Device::cuda()), {.size = 6, .crop = 6}).to(Device::cpu());
  CHECK(std::isnan(got.at({1, 0, 2, 3})));  // the CPU refuses it
  CHECK(got.at({0, 0, 2, 4}) == 1);
  CHECK(got.at({0, 0, 2, 3}) == 0);
}

}  // namespace resize_test
