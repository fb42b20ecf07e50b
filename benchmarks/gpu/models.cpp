/// Whole networks on a GPU, as the programs run them: CLIP's image encoder, I3D, TV-L1.

#include <cmath>
#include <memory>

#include "../i3d_flops.hpp"
#include "../moving_waves.hpp"
#include "gpu.hpp"
#include "tandem/clip/captured_encoder.hpp"
#include "tandem/flow/tvl1.hpp"
#include "tandem/i3d/inception.hpp"
#include "tandem/nn/weight.hpp"

namespace bench::gpu {
namespace {

using Encoder = Ref<clip::ImageEncoder<float>>;

/// As clip_features computes: `bf16` keeps the matrices as bfloat16, rounded once; tf32 is a scope.
/// `floats` is the encoder of both others, which the host takes seconds to make.
void add_clip(Suite& suite, const Kind& kind, const std::shared_ptr<Encoder>& floats) {
  clip::ImageEncoderOptions o;
  if (small()) o.resolution = 32, o.width = 48, o.layers = 2, o.heads = 3;
  const std::int64_t images = sized(64, 2);
  // Products of ViT-B/16 of a picture, of whose last block one row is computed: 32.9 GFLOP.
  add_work(suite, std::string("gpu_clip_64_") + kind.name,
           {.flops = small() ? 0 : 32.9e9 * real(images),
            .unit = kind.name,
            .items = real(images),
            .item = "pictures"},
           5, [=]() -> std::function<void()> {
             const bool kept = kind.precision == Precision::bfloat16;
             Encoder encoder = kept ? Encoder() : *floats;
             if (!encoder) {
               Generator random(1);
               encoder = make_ref<clip::ImageEncoder<float>>(o, random);
               encoder->freeze();
               if (kept) nn::keep_bfloat16(*encoder);
               encoder->to(Device::cuda());
               if (!kept) *floats = encoder;
             }
             const auto captured = std::make_shared<clip::CapturedEncoder<float>>(encoder);
             return [=, x = numbers({images, 3, o.resolution, o.resolution}, 2)] {
               const PrecisionScope scope(kind.precision == Precision::tf32 ? kind.precision
                                                                            : Precision::full);
               keep(captured->forward(x));
             };
           });
}

void add_i3d(Suite& suite, const Kind& kind) {
  i3d::Config config;
  if (small()) {
    config = config.narrowed(16);
    config.window = {2, 2, 2};
  }
  const std::int64_t clips = sized(8, 1), frames = 16, side = sized(224, 33);
  add_work(suite, std::string("gpu_i3d_8_") + kind.name,
           {.flops = real(clips) * bench::i3d_flops(config, {frames, side, side}),
            .unit = kind.name,
            .items = real(clips),
            .item = "clips"},
           3, [=]() -> std::function<void()> {
             Generator random(1);
             const auto model = make_ref<i3d::InceptionI3d<float>>(config, random);
             model->to(Device::cuda());
             model->prepare();
             return [=, x = numbers({clips, 3, frames, side, side}, 2)] {
               const PrecisionScope scope(kind.precision);
               keep(model->features(x));
             };
           });
}

/// A batch of pairs as extract_features gives them, with the usual options.
void add_tvl1(Suite& suite) {
  const std::int64_t pairs = sized(16, 2), height = sized(256, 24), width = sized(340, 32);
  add_work(suite, "gpu_tvl1_16x256x340", {.items = real(pairs), .item = "pairs"}, 1,
           [=]() -> std::function<void()> {
             const auto batch = [=](double shift) {
               const Tensor<std::uint8_t> all({pairs, height, width}, Device::cuda());
               all.copy_(bench::moving_waves(height, width, shift).to(Device::cuda()));
               return all;
             };
             flow::TvL1Options options;
             if (small()) options.scales = 2, options.warps = 1, options.outer_iterations = 2;
             return [=, from = batch(0), to = batch(1)] { keep(flow::tvl1(from, to, options)); };
           });
}

}  // namespace

void add_models(Suite& suite) {
  const auto floats = std::make_shared<Encoder>();
  for (const Kind& kind : kinds) add_clip(suite, kind, floats);
  for (const Kind& kind : kinds) {
    if (kind.precision != Precision::tf32) add_i3d(suite, kind);  // its convolutions have none
  }
  add_tvl1(suite);
}

}  // namespace bench::gpu
