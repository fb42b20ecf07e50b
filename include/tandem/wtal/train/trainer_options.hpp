#pragma once
/// What decides a run of the trainer, and the phases that follow from it.              [method §5]

#include <cstdint>
#include <vector>

#include "tandem/optim/schedule.hpp"
#include "tandem/wtal/train/contrast.hpp"
#include "tandem/wtal/train/losses.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The paper's comparisons.                                                          [method §5, P]
enum class Variant {
  both,         ///< warm-up, then B and F steps in turn
  only_b,       ///< warm-up, then B steps only
  only_f,       ///< warm-up, then F steps only, taught by vanilla VLP
  warm_up,      ///< warm-up only
  vanilla_vlp,  ///< no training at all
  /// warm-up, then F steps only, taught by CBP as it was when the phase began: what pseudo-labels
  /// alone bring, without VLP  (ours)
  self_training,
};

/// A run: its steps, losses, rates and labels.
struct TrainerOptions {
  Variant variant = Variant::both;
  std::int64_t batch = 10;           ///< videos of a step
  std::int64_t crop = 1000;          ///< T: 1000 for THUMOS14, 400 for ActivityNet1.2  [P]
  std::int64_t warm_up_steps = 400;  ///< (reading)
  std::int64_t rounds = 2;           ///< (reading)
  /// Per round  (reading). VLP starts above δ_h everywhere: B steps first make everything
  /// background, then bring the action back; an F phase begun before that teaches CBP nothing but
  /// background. Long F phases drift outwards. So B is several times as long as F; measured on
  /// simulated rows only.
  std::int64_t b_steps = 600;
  std::int64_t f_steps = 100;  ///< per round  (reading)
  /// Of the first B phase, in which VLP has everything to learn; 0: b_steps  (ours)
  std::int64_t first_b_steps = 0;
  double learning_rate = 1e-4;    ///< [P]
  double vlp_learning_rate = 0;   ///< of VLP; 0: the same  (ours)
  double weight_decay = 0;        ///< (reading)
  double max_grad_norm = 0;       ///< 0: no clipping  (reading)
  double lambda = 0.05;           ///< weight of L_fb; 0 leaves it out  [P]
  std::int64_t topk_divisor = 8;  ///< k = T_valid/8  [C]
  Reading cbp_reading = Reading::sigmoid, vlp_reading = Reading::sigmoid;  ///< (reading)
  PseudoLabelOptions pseudo = {};
  bool every_entry = false;   ///< L_kd on every entry with h ≠ −1  (reading: confident frames)
  bool kd_foreground = true;  ///< false: "no L_kd foreground"  [P]
  bool kd_background = true;  ///< false: "no L_kd background"; without both there is no L_kd  [P]
  ContrastOptions contrast = {};
  // Of a method in CBP's place that has them; CBP itself has not.
  /// The warm-up is the method's own training: its loss, sampler, rate and decay; false: as CBP's
  /// (reading: the paper does not say how it swaps methods)
  bool own_warm_up = true;
  /// L_kd teaches the background class too, where there is one: 1 on confident background frames, 0
  /// on confident foreground  (reading)
  bool background_labels = true;
  /// F steps teach the foreground filter too: BCE(w, 1 − h_b) on confident frames  (reading: only
  /// through what it weighs)
  bool teach_attention = false;
  /// F steps keep the terms of the method's loss that need no class label  (reading: they do not)
  bool keep_regularisers = false;
  optim::Schedule schedule = {};  ///< of the learning rate, over all steps
  std::uint64_t seed = 0;         ///< of crops and dropout
  bool graphs = true;  ///< on a GPU: steps are captured and replayed; the bits are the same
};

/// A stretch of steps of one kind.
struct Phase {
  enum class Kind { warm_up, b, f, self };
  Kind kind = Kind::warm_up;
  std::int64_t round = 0;           ///< 0 for the warm-up, then 1, 2, …
  std::int64_t begin = 0, end = 0;  ///< steps
  /// "warm-up", "B", "F" or "self".
  const char* name() const {
    return kind == Kind::warm_up ? "warm-up"
           : kind == Kind::b     ? "B"
           : kind == Kind::f     ? "F"
                                 : "self";
  }
};

/// The phases of a run, in order.
inline std::vector<Phase> training_phases(const TrainerOptions& o) {
  TANDEM_CHECK(o.warm_up_steps >= 0 && o.rounds >= 0 && o.b_steps >= 0 && o.f_steps >= 0 &&
                   o.first_b_steps >= 0,
               "trainer", "numbers of steps and rounds must not be negative");
  std::vector<Phase> phases;
  std::int64_t at = 0;
  const auto append = [&](Phase::Kind kind, std::int64_t round, std::int64_t steps) {
    if (steps > 0) phases.push_back({.kind = kind, .round = round, .begin = at, .end = at + steps});
    at += steps;
  };
  if (o.variant == Variant::vanilla_vlp) return phases;
  append(Phase::Kind::warm_up, 0, o.warm_up_steps);
  if (o.variant == Variant::warm_up) return phases;
  for (std::int64_t round = 1; round <= o.rounds; ++round) {
    if (o.variant == Variant::self_training) {
      append(Phase::Kind::self, round, o.f_steps);
      continue;
    }
    const bool longer = round == 1 && o.first_b_steps > 0;
    if (o.variant != Variant::only_f)
      append(Phase::Kind::b, round, longer ? o.first_b_steps : o.b_steps);
    if (o.variant != Variant::only_b) append(Phase::Kind::f, round, o.f_steps);
  }
  return phases;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
