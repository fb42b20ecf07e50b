/// The kernels on a GPU: what they take, for the share of its memory's and arithmetic's speed. A
/// timed call is twenty in the queue and one wait. Without a GPU there are no works; with
/// TANDEM_BENCH_SMALL=1 they are small, to see that they run.

#include <cstdlib>
#include <memory>
#include <string>

#include "harness.hpp"
#include "tandem/clip/captured_encoder.hpp"
#include "tandem/clip/preprocess.hpp"
#include "tandem/cuda/queue.hpp"
#include "tandem/nn/weight.hpp"
#include "tandem/ops/attention.hpp"
#include "tandem/ops/conv3d.hpp"
#include "tandem/ops/gelu.hpp"
#include "tandem/ops/layer_norm.hpp"
#include "tandem/ops/linear.hpp"
#include "tandem/ops/softmax.hpp"

namespace {

using namespace tandem;

constexpr int in_queue = 20;

/// f() as often as a timed call puts it into the queue, then the wait for it.
template <class F>
bench::Suite::Call queued(F f) {
  return [f = std::move(f), done = std::make_shared<Event>()] {
    const NoGrad no_grad;
    for (int i = 0; i < in_queue; ++i) f();
    done->record(current_queue(Device::cuda()));
    done->synchronize();
  };
}
bench::Cost cost(double flops, double bytes, const char* unit = "f32") {
  return {.flops = in_queue * flops, .bytes = in_queue * bytes, .unit = unit};
}
Tensor<float> numbers(const Shape& shape, std::uint64_t seed) {
  Generator random(seed);
  return randn<float>(shape, random).to(Device::cuda());
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  bool list = false;
  for (int i = 1; i < argc; ++i) list = list || std::string(argv[i]) == "--list";
  if (!cuda_available()) {
    if (!list) std::fprintf(stderr, "gpu_bench: skipped: there is no GPU here, or no kernels\n");
    return list ? 0 : 77;
  }
  const char* const asked = std::getenv("TANDEM_BENCH_SMALL");
  const std::int64_t by = asked != nullptr && asked[0] == '1' ? 64 : 1;
  const auto f = [](std::int64_t n) { return static_cast<double>(n); };

  const std::int64_t rows = 65536 / by, width = 768;
  suite.add("gpu_gelu_f32", cost(0, 8 * f(rows * width)), [=] {
    return queued([x = numbers({rows, width}, 1)] { bench::keep(gelu(x)); });
  });
  suite.add("gpu_softmax_f32", cost(0, 8 * f(rows * width)), [=] {
    return queued([x = numbers({rows, width}, 1)] { bench::keep(softmax(x)); });
  });
  suite.add("gpu_layer_norm_f32", cost(0, 8 * f(rows * width)), [=] {
    return queued([x = numbers({rows, width}, 1), g = numbers({width}, 2),
                   b = numbers({width}, 3)] { bench::keep(layer_norm(x, g, b)); });
  });

  struct Kind {
    const char* name;
    Precision precision;
    const char* unit;
  };
  const Kind kinds[] = {{"f32", Precision::full, "f32"},
                        {"tf32", Precision::tf32, "f32"},
                        {"bf16", Precision::bfloat16, "bf16"}};
  const std::int64_t m = 8192 / by;
  for (const Kind& kind : kinds) {
    const double n = f(m) * f(width) * f(4 * width);
    suite.add(std::string("gpu_linear_") + kind.name,
              cost(2 * n, 4 * (5 * f(m * width) + 4 * f(width * width)), kind.unit), [=] {
                return queued([=, x = numbers({m, width}, 1), w = numbers({4 * width, width}, 2),
                               b = numbers({4 * width}, 3)] {
                  const PrecisionScope scope(kind.precision);
                  bench::keep(linear(x, w, b, Activation::quick_gelu));
                });
              });
  }
  const std::int64_t batch = by > 1 ? 1 : 16, tokens = 1024 / (by > 1 ? 16 : 1);
  for (const Kind& kind : kinds) {
    if (kind.precision == Precision::tf32) continue;  // attention has none
    const double n = f(batch) * 12 * f(tokens) * f(tokens) * 64;
    suite.add(std::string("gpu_attention_") + kind.name,
              cost(4 * n, 4 * 4 * f(batch * tokens) * 768, kind.unit), [=] {
                return queued([=, qkv = numbers({batch, tokens, 3 * width}, 1)] {
                  const PrecisionScope scope(kind.precision);
                  bench::keep(self_attention(qkv, 12));
                });
              });
  }
  const std::int64_t side = by > 1 ? 6 : 56;
  suite.add(
      "gpu_conv3d_f32",
      cost(2.0 * 64 * 192 * 27 * 8 * f(side * side), 4.0 * (64 + 192) * 8 * f(side * side)), [=] {
        return queued([x = numbers({1, 64, 8, side, side}, 1), w = numbers({192, 64, 3, 3, 3}, 2)] {
          bench::keep(conv3d(x, w, {}, {.padding = Padding3d::same()}));
        });
      });
  const std::int64_t height = by > 1 ? 45 : 720, columns = by > 1 ? 80 : 1280,
                     crop = by > 1 ? 14 : 224, pictures = by > 1 ? 2 : 16;
  suite.add("gpu_preprocess_u8", cost(0, 3 * f(pictures) * f(height * columns)), [=] {
    return queued([=, x = full<std::uint8_t>({pictures, height, columns, 3}, 99, Device::cuda())] {
      bench::keep(clip::preprocess(x, {.size = crop, .crop = crop}));
    });
  });
  for (const Kind& kind : kinds) {
    clip::ImageEncoderOptions o;
    if (by > 1) o.resolution = 32, o.width = 48, o.layers = 2, o.heads = 3;
    const std::int64_t images = by > 1 ? 2 : 64;
    // Products of ViT-B/16 of a picture, of whose last block one row is computed: 32.9 GFLOP.
    suite.add(std::string("gpu_image_encoder_") + kind.name,
              cost(by > 1 ? 0 : 32.9e9 * f(images), 0, kind.unit), [=] {
                Generator random(1);
                const auto encoder = make_ref<clip::ImageEncoder<float>>(o, random);
                encoder->freeze();
                encoder->to(Device::cuda());
                const auto captured = std::make_shared<clip::CapturedEncoder<float>>(encoder);
                return queued([=, x = numbers({images, 3, o.resolution, o.resolution}, 2)] {
                  const PrecisionScope scope(kind.precision);
                  bench::keep(captured->forward(x));
                });
              });
  }
  return suite.run();
}
