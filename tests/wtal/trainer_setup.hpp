#pragma once
/// A small trainer with its branches and simulated videos, for the tests of the trainer.

#include <memory>
#include <vector>

#include "tandem/wtal/data/simulate.hpp"
#include "tandem/wtal/train/trainer.hpp"

namespace trainer_setup {

using namespace tandem;
using namespace tandem::wtal;

struct Setup {
  explicit Setup(TrainerOptions t, Precision precision = Precision::full)
      : random(t.seed),
        text(make_ref<clip::TextEncoder<float>>(clip::TextEncoderOptions{.vocabulary = 12,
                                                                         .context = 10,
                                                                         .width = 16,
                                                                         .layers = 1,
                                                                         .heads = 2,
                                                                         .output = 16},
                                                random)),
        cbp({.input = 24,
             .classes = 5,
             .width = 16,
             .layers = 1,
             .heads = 2,
             .dropout = 0.1,
             .precision = precision},
            random),
        vlp({.width = 16, .layers = 1, .heads = 2, .table = 30, .precision = precision}, text,
            {{2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}},
            {.vectors = 3, .start_token = 0, .end_token = 1}, random),
        trainer(t, cbp, vlp) {}
  Generator random;
  Ref<clip::TextEncoder<float>> text;
  CbpBranch<float> cbp;
  VlpBranch<float> vlp;
  Trainer<float> trainer;
};

inline SimulationOptions tiny() {
  return {.classes = 5,
          .train_videos = 8,
          .test_videos = 3,
          .rows_low = 12,
          .rows_high = 40,
          .i3d_width = 24,
          .clip_width = 16};
}
inline TrainerOptions options() {
  TrainerOptions t;
  t.batch = 3;
  t.crop = 30;
  t.warm_up_steps = 4;
  t.rounds = 2;
  t.b_steps = 3;
  t.f_steps = 2;
  t.learning_rate = 1e-2;
  return t;
}

struct Data {
  explicit Data(const SimulationOptions& o = tiny()) : truth(simulate_annotations(o)) {
    const Setup probe(options());
    const NoGrad no_grad;
    const Simulator simulator(o, probe.vlp.text_features());
    train = std::make_unique<SimulatedSource>(truth, "train", simulator);
    for (std::size_t v = 0; v < train->size(); ++v) lengths.push_back(train->clip(v).size(0));
  }
  GroundTruth truth;
  std::unique_ptr<SimulatedSource> train;
  std::vector<std::int64_t> lengths;
};

inline std::vector<Tensor<float>> run(const Data& data, std::int64_t interrupt_at,
                                      Precision precision = Precision::full,
                                      bool step_counts = true,
                                      const TrainerOptions& how = options()) {
  auto setup = std::make_unique<Setup>(how, precision);
  const Sampler sampler(data.lengths, 3, 30, Generator(9));
  while (!setup->trainer.finished()) {
    if (setup->trainer.steps() == interrupt_at) {
      auto state = setup->trainer.state();
      for (auto& named : state) named.tensor = named.tensor.clone();
      if (!step_counts)
        std::erase_if(state, [](const auto& named) { return named.name.ends_with(".step"); });
      const auto counters = setup->trainer.counters();
      setup = std::make_unique<Setup>(how, precision);
      setup->trainer.load(state, counters);
      interrupt_at = -1;
    }
    if (setup->trainer.needs_calibration()) setup->trainer.calibrate(*data.train);
    setup->trainer.step(make_batch<float>(*data.train, sampler.crops(setup->trainer.steps())));
  }
  std::vector<Tensor<float>> out;
  for (const auto& named : setup->trainer.state()) out.push_back(named.tensor.clone());
  return out;
}

}  // namespace trainer_setup
