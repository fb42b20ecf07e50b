/// TV-L1 flow of a pair of frames of 340×256 pixels, the size of two-stream networks; `_fixed`:
/// with a number of iterations that does not depend on the picture, so that everybody does the same
/// work.

#include <cmath>

#include "harness.hpp"
#include "tandem/flow/tvl1.hpp"

namespace {

/// The picture of peers/tvl1_peer.py: waves of many lengths that move by `shift` and turn a little.
tandem::Tensor<std::uint8_t> frame(std::int64_t height, std::int64_t width, double shift) {
  tandem::Tensor<std::uint8_t> image({height, width});
  std::uint8_t* p = image.mutable_data();
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const double cy = static_cast<double>(y) - static_cast<double>(height) / 2;
      const double cx = static_cast<double>(x) - static_cast<double>(width) / 2;
      const double a = cx - shift * (2 + 0.01 * cy), b = cy + shift * (1 + 0.012 * cx);
      double value = 128;
      for (int k = 1; k <= 12; ++k) {
        value += 60.0 / k *
                 std::sin(a * 0.05 * k * std::cos(2.4 * k) + b * 0.05 * k * std::sin(2.4 * k) + k);
      }
      *p++ = static_cast<std::uint8_t>(std::fmin(std::fmax(std::floor(value), 0), 255));
    }
  }
  return image;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  const auto add = [&](const char* name, std::int64_t pairs,
                       const tandem::flow::TvL1Options& options) {
    suite.add(name, {}, [=] {
      const auto first = frame(256, 340, 0), second = frame(256, 340, 1);
      tandem::Tensor<std::uint8_t> from({pairs, 256, 340}), to({pairs, 256, 340});
      for (std::int64_t i = 0; i < pairs; ++i) {
        from[i].copy_(first);
        to[i].copy_(second);
      }
      return [=] { bench::keep(tandem::flow::tvl1(from, to, options)); };
    });
  };
  add("tvl1_f32/256x340", 1, {});
  add("tvl1_f32/8x256x340", 8, {});
  add("tvl1_f32_fixed/256x340", 1, {.epsilon = 0, .outer_iterations = 2});
  return suite.run();
}
