/// I3D at full size, one clip of 16 × 224 × 224 to its features (1, 1024): float and bfloat16, with
/// random weights, batch norms folded.

#include "harness.hpp"
#include "i3d_flops.hpp"
#include "tandem/i3d/inception.hpp"

using namespace tandem;

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
      suite.add(
          name,
          {.flops = bench::i3d_flops(config, {c.frames, 224, 224}), .unit = low ? "bf16" : "f32"},
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
