/// Images for CLIP: Pillow's bicubic resizing to a short side of 224, and the whole way to the
/// encoder's input, of one frame and of a batch.

#include "harness.hpp"
#include "tandem/clip/preprocess.hpp"
#include "tandem/image/resize_and_crop.hpp"

namespace {

using Image = tandem::Tensor<std::uint8_t>;

Image noise(const tandem::Shape& shape) {
  Image image(shape);
  std::uint8_t* p = image.mutable_data();
  std::uint32_t x = 1;
  for (std::int64_t i = 0; i < image.numel(); ++i) {
    x = x * 1664525u + 1013904223u;
    p[i] = static_cast<std::uint8_t>(x >> 24);
  }
  return image;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  struct Case {
    long height, width;
  };
  for (const Case c : {Case{256, 340}, Case{720, 1280}, Case{1080, 1920}}) {
    const std::string sizes = "/" + std::to_string(c.height) + "x" + std::to_string(c.width);
    const double input = 3.0 * static_cast<double>(c.height) * static_cast<double>(c.width);
    const tandem::io::ImageSize to = tandem::io::resized_size(c.height, c.width, 224);
    const double resized = 3.0 * static_cast<double>(to.height) * static_cast<double>(to.width);
    suite.add("resize_bicubic_u8" + sizes, {.bytes = input + resized}, [=] {
      const Image image = noise({c.height, c.width, 3});
      return [=] { bench::keep(tandem::io::resize_bicubic(image, to.height, to.width)); };
    });
    suite.add("preprocess_u8" + sizes, {.bytes = input + 3.0 * 4 * 224 * 224}, [=] {
      const Image image = noise({c.height, c.width, 3});
      return [=] { bench::keep(tandem::clip::preprocess(image)); };
    });
  }
  suite.add("preprocess_u8/32x256x340", {.bytes = 32 * 3.0 * (256 * 340 + 4 * 224 * 224)}, [] {
    const Image frames = noise({32, 256, 340, 3});
    return [=] { bench::keep(tandem::clip::preprocess(frames)); };
  });
  return suite.run();
}
