/// One training step of another method, at its published sizes with rows of 2048 and 20 classes:
/// forward with dropout, loss, backward, Adam with L2 decay. Rows are noise, labels one class a
/// video.
///
///     rival_step/basnet     16 videos of 750 rows
///     rival_step/co2        10 of 500
///     rival_step/um         16 of 750
///     rival_step/wtalc      10 of 750
///     rival_step/boosting   10 of 320: a whole iteration, two steps of VLC and one of TSM
///
/// peers/rival_peer.py does the same in PyTorch.

#include <memory>

#include "harness.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/wtal/model/basnet.hpp"
#include "tandem/wtal/model/co2.hpp"
#include "tandem/wtal/model/um.hpp"
#include "tandem/wtal/model/wtalc.hpp"
#include "tandem/wtal/train/boosting_trainer.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

constexpr std::int64_t columns = 2048, classes = 20;

struct Batch {
  Tensor<float> x, y;
  Tensor<bool> valid;

  Batch(std::int64_t videos, std::int64_t frames, Generator& random)
      : x(randn<float>({videos, frames, columns}, random)),
        y(zeros<float>({videos, classes})),
        valid(ones<bool>({videos, frames})) {
    float* rows = x.mutable_data();
    for (std::int64_t i = 0; i < x.numel(); ++i) rows[i] = rows[i] > 0 ? rows[i] : 0;
    for (std::int64_t v = 0; v < videos; ++v) y.set({v, v / 2 % classes}, 1);
  }
};

template <class Net, class Options>
void add(bench::Suite& suite, const std::string& name, double flops) {
  suite.add("rival_step/" + name, {.flops = flops}, [] {
    struct Step {
      Generator random{1}, noise{2};
      Net net{Options(), random};
      Batch batch{net.recipe()->batch, net.recipe()->frames, random};
      optim::Adam<float> adam{net.trainable_parameters(),
                              {.learning_rate = net.recipe()->learning_rate,
                               .weight_decay = net.recipe()->weight_decay}};
    };
    const auto s = std::make_shared<Step>();
    return [s] {
      const nn::RandomScope random(s->noise);
      const Tensor<float> loss = s->net.own_loss(s->batch.x, s->batch.valid, s->batch.y);
      s->adam.zero_grad();
      loss.backward();
      s->adam.step();
    };
  });
}

struct Boosting {
  static constexpr std::int64_t videos = 10, words = 14;
  Generator random{1};
  rivals::Tsm<float> tsm{{}, randn<float>({classes, 2, 300}, random), random};
  rivals::Vlc<float> vlc{{}, random};
  Batch batch{videos, 320, random};
  Sentences<float> sentences;
  BoostingTrainer<float> trainer{{.steps = 1000000000}, tsm, vlc};

  Boosting() {
    sentences.words = randn<float>({videos, words + 1, 300}, random);
    sentences.ids = zeros<std::int64_t>({videos, words});
    for (std::int64_t b = 0; b < videos; ++b) {
      for (std::int64_t j = 0; j < words; ++j)
        sentences.ids.set({b, j}, 1 + (b * words + j) * 57 % 8000);
    }
    sentences.counted = ones<bool>({videos, words});
    sentences.lengths.assign(videos, words);
    sentences.weights = ones<float>({videos, words});
  }
};

/// Multiply-adds of the matrix products, times two.
namespace flops {
constexpr double w = columns, s = w / 2, h = 512;
/// Of a layer of so many weights on so many rows: forward, by the weight and, where `input`, by the
/// input.
constexpr double layer(double weights, double rows, bool input = true) {
  return 2 * weights * rows * (input ? 3 : 2);
}
constexpr double basnet_rows = 16 * 750;
/// The first convolution multiplies the rows once for both passes.
constexpr double basnet = layer(w * h + h, basnet_rows, false) +
                          layer(3 * w * w, basnet_rows, false) +
                          2 * layer(3 * w * w + w * (classes + 1), basnet_rows);
constexpr double attention = 3 * s * h + 3 * h * h + h;  // behind the filtered rows
constexpr double co2_rows = 10 * 500;
constexpr double co2 = 2 * (layer(3 * s * s, co2_rows, false) + layer(attention, co2_rows)) +
                       layer(w * w + 3 * w * w + w * (classes + 1), co2_rows);
constexpr double um = layer(3 * w * w, basnet_rows, false) + layer(w * classes, basnet_rows);
constexpr double wtalc = layer(w * w, 10 * 750, false) + layer(w * classes, 10 * 750);
constexpr double boosting_rows = 10 * 320, tokens = (classes + 1) * 11.0, d = 512;
constexpr double modules =
    2 * (layer(3 * s * h, boosting_rows, false) + layer(2 * 3 * s * h + attention, boosting_rows));
constexpr double modules_forward = 2 * 2 * (3 * 3 * s * h + attention) * boosting_rows;
constexpr double tsm = modules + layer(2 * 3 * w * w + w * (classes + 1), boosting_rows) +
                       layer(300 * w + 4 * w * w + 2 * 8192 * w, tokens);
/// Three passes of the decoders; one layer has 4 d² for attention and 4 d² for its perceptron.
constexpr double decoders = 3 * (layer(3 * (4 * d * d + 4 * d * d) + 3 * 2 * d * d, boosting_rows) +
                                 layer(3 * (4 * d * d + 2 * d * d + 4 * d * d) + 8001 * d, 140) +
                                 3.5 * 3 * 4 * 320 * d * boosting_rows / 2);
constexpr double frames = layer(w * d, boosting_rows);
/// Step 1 learns no modules A, step 2 nothing but them: by the input only.
constexpr double boosting =
    tsm + modules_forward + modules + 2 * frames * 2 / 3 + decoders + decoders * 2 / 3;
}  // namespace flops

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  add<BasNetBranch<float>, BasNetOptions>(suite, "basnet", flops::basnet);
  add<Co2Branch<float>, Co2Options>(suite, "co2", flops::co2);
  add<UmBranch<float>, UmOptions>(suite, "um", flops::um);
  add<WtalcBranch<float>, WtalcOptions>(suite, "wtalc", flops::wtalc);
  suite.add("rival_step/boosting", {.flops = flops::boosting}, [] {
    const auto s = std::make_shared<Boosting>();
    return
        [s] { bench::keep(s->trainer.step(s->batch.x, s->batch.y, s->batch.valid, s->sentences)); };
  });
  return suite.run();
}
