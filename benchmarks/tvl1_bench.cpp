/// TV-L1 flow of a pair of frames of 340×256 pixels, the size of two-stream networks; `_fixed`:
/// with a number of iterations that does not depend on the picture, so that everybody does the same
/// work.

#include "harness.hpp"
#include "moving_waves.hpp"
#include "tandem/flow/tvl1.hpp"

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  const auto add = [&](const char* name, std::int64_t pairs,
                       const tandem::flow::TvL1Options& options) {
    suite.add(name, {}, [=] {
      const auto first = bench::moving_waves(256, 340, 0),
                 second = bench::moving_waves(256, 340, 1);
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
