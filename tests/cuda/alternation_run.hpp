#pragma once
/// A small alternation of warm-up, B and F steps on any device, for tests of training steps.

#include <string>
#include <vector>

#include "../wtal/trainer_setup.hpp"
#include "devices.hpp"
#include "tandem/cuda/memory.hpp"

namespace alternation_run {

using namespace tandem;
using namespace tandem::wtal;

/// Simulated videos of five classes, 12 to 40 rows long.
inline const trainer_setup::Data& videos() {
  static const trainer_setup::Data data;
  return data;
}

struct Way {
  PseudoLabelOptions pseudo = {.rule = PseudoLabelRule::ranked};
  Reading reading = Reading::sigmoid;
  Variant variant = Variant::both;
  bool graphs = true, per_class = false, learned_scale = false;
  double dropout = 0, max_grad_norm = 0, lambda = 0.5;
  std::int64_t steps = 2;  ///< of each phase
  bool repeat = false;     ///< the same crops again and again
};
/// Warm-up, B, F, B, F, two steps each: from the second round on everything is replayed.
inline TrainerOptions trainer_options(const Way& way) {
  TrainerOptions o;
  o.variant = way.variant;
  o.batch = 3, o.crop = 30, o.learning_rate = 1e-3, o.seed = 3;
  o.warm_up_steps = o.b_steps = o.f_steps = way.steps;
  o.rounds = 2;
  o.lambda = way.lambda, o.max_grad_norm = way.max_grad_norm, o.graphs = way.graphs;
  o.pseudo = way.pseudo;
  o.cbp_reading = o.vlp_reading = way.reading;
  return o;
}

/// Both branches and their trainer on a device; the start is rounded to float, so that all are the
/// same.
template <class T>
struct Run {
  Run(const Way& way, Device device, const trainer_setup::Data& of = videos())
      : data(of),
        random(5),
        text(make_ref<clip::TextEncoder<T>>(clip::TextEncoderOptions{.vocabulary = 12,
                                                                     .context = 10,
                                                                     .width = 16,
                                                                     .layers = 2,
                                                                     .heads = 2,
                                                                     .output = 16},
                                            random)),
        cbp({.input = of.train->i3d(0).size(1),
             .classes = 5,
             .width = 16,
             .layers = 2,
             .heads = 2,
             .dropout = way.dropout,
             .positions = Positions::sinusoid},
            random),
        vlp({.width = 16,
             .layers = 1,
             .heads = 2,
             .table = 30,
             .learned_scale = way.learned_scale,
             .identity_start = false},
            text, {{2, 3}, {4}, {5, 6, 7}, {8, 9}, {10, 11}},
            {.vectors = 2,
             .deviation = 0.1,
             .per_class = way.per_class,
             .start_token = 0,
             .end_token = 1},
            random),
        trainer(trainer_options(way), *moved(cbp, device), *moved(vlp, device)),
        sampler(of.lengths, 3, 30, Generator(9)),
        repeat(way.repeat) {
    moved(*text, device);
  }
  template <class M>
  static M* moved(M& module, Device device) {
    const NoGrad no_grad;
    for (const Tensor<T>& p : module.parameters())
      p.copy_(check::cast<T>(check::cast<float>(p.detach())));
    module.to(device);
    return &module;
  }
  /// Of the trainer's next step; with `repeat` in turn one of two batches.
  std::vector<Crop> crops() const {
    return sampler.crops(repeat ? trainer.steps() % 2 : trainer.steps());
  }
  Batch<T> batch() const { return make_batch<T>(*data.train, crops()); }
  /// The same from rows that the trainer keeps.
  PendingReport<T> start_kept() {
    if (trainer.needs_calibration()) trainer.calibrate(*data.train);
    return trainer.start_step(*data.train, crops());
  }
  StepReport step() {
    if (trainer.needs_calibration()) trainer.calibrate(*data.train);
    // A GPU's batches become as long as the crop by themselves; dropout draws for what there is
    const bool on_cpu = trainer.state()[0].tensor.device().is_cpu();
    return trainer.step(on_cpu ? batch().padded_to(30) : batch());
  }
  std::vector<Tensor<T>> weights() const {
    std::vector<Tensor<T>> out;
    for (const nn::Named<T>& named : trainer.state())
      out.push_back(named.tensor.to(Device::cpu()).clone());
    return out;
  }
  const trainer_setup::Data& data;
  Generator random;
  Ref<clip::TextEncoder<T>> text;
  CbpBranch<T> cbp;
  VlpBranch<T> vlp;
  Trainer<T> trainer;
  Sampler sampler;
  bool repeat;
};

}  // namespace alternation_run
