/// I3D at full size, one clip of 16 × 224 × 224 to its features (1, 1024): float and bfloat16, with
/// random weights, batch norms folded.

#include "harness.hpp"
#include "tandem/i3d/inception.hpp"

namespace {

using namespace tandem;

/// Multiply-adds count two; only convolutions are counted.
double flops(const i3d::Config& config, Triple size) {
  double total = 0;
  const auto conv = [&](std::int64_t in, std::int64_t out, std::int64_t taps) {
    total += 2.0 * static_cast<double>(in * out * taps) *
             static_cast<double>(size.depth * size.height * size.width);
  };
  const auto shrink = [&size](const Triple& by) {
    size = {(size.depth - 1) / by.depth + 1, (size.height - 1) / by.height + 1,
            (size.width - 1) / by.width + 1};
  };
  std::int64_t in = config.channels;
  for (int i = 0; i < 12; ++i) {
    for (const i3d::Pool& pool : i3d::pools) {
      if (pool.before == i) shrink(pool.stride);
    }
    if (i < 3) {
      if (i == 0) shrink(Triple::all(2));
      const std::int64_t out = config.stem[static_cast<std::size_t>(i)];
      conv(in, out, i == 0 ? 343 : i == 1 ? 1 : 27);
      in = out;
    } else {
      const i3d::MixedWidths& m = config.mixed[static_cast<std::size_t>(i - 3)];
      conv(in, m.b0 + m.b1a + m.b2a + m.b3b, 1);
      conv(m.b1a, m.b1b, 27);
      conv(m.b2a, m.b2b, 27);
      in = m.out();
    }
  }
  return total;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  struct Case {
    const char* stream;
    std::int64_t channels, frames;
  };
  for (const Case c : {Case{"rgb", 3, 16}, Case{"flow", 2, 16}, Case{"rgb", 3, 64}}) {
    for (const bool low : {false, true}) {
      const i3d::Config config{.channels = c.channels};
      const std::string name = std::string("i3d_") + c.stream + (low ? "_bf16" : "_f32") + "/1x" +
                               std::to_string(c.frames) + "x224x224";
      suite.add(name, {.flops = flops(config, {c.frames, 224, 224}), .unit = low ? "bf16" : "f32"},
                [=] {
                  Generator random(1);
                  auto model = make_ref<i3d::InceptionI3d<float>>(config, random);
                  model->prepare({.bfloat16 = low});
                  const auto clips = randn<float>({1, c.channels, c.frames, 224, 224}, random);
                  return [=] { bench::keep(model->features(clips)); };
                });
    }
  }
  return suite.run();
}
