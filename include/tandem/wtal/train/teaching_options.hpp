#pragma once
/// What pseudo-labels, L_kd and L_fb can be told: plain values, which their kernels take too.
///                                                                                   [method §4]

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What σ means for scores over classes.                                   [method §3 "σ", reading]
enum class Reading { sigmoid, softmax };

/// Which frames of a labelled class are foreground and which background, from a teacher's p.
/// All but the first look at each video on its own: what the rounds of an alternation keep is the
/// order of the frames inside a video, what runs away is a video's level.      [method §4, ours]
enum class PseudoLabelRule {
  thresholds,  ///< p > δ_h, p < δ_l  [P]
  /// The same after a shift of the video's logits, by which the share of frames above δ_h is the
  /// one that CBP found after the warm-up, in all rounds.
  calibrated,
  ranked,  ///< the frames with the highest p, a fixed share of the video, and those with the lowest
  min_max,  ///< (p − min)/(max − min) over the video against two thresholds
  /// No teacher: the annotated segments of the training videos. A ceiling for what pseudo-labels
  /// can do, not a way to learn from video labels.
  oracle,
};

/// How a teacher's probabilities become labels.
struct PseudoLabelOptions {
  double high = 0.3;  ///< δ_h: above it a class of the label is foreground  [P]
  double low = 0.1;   ///< δ_l: below it, background  [P]
  PseudoLabelRule rule = PseudoLabelRule::thresholds;
  double ranked_foreground = 0.125, ranked_background = 0.5;  ///< shares of `ranked`
  double min_max_high = 0.6, min_max_low = 0.2;               ///< thresholds of `min_max`

  /// How a branch that need not teach is judged: by its own rule; by the thresholds where that
  /// rule asks no branch (`oracle`), or is `calibrated` and its shares are not known yet.
  PseudoLabelOptions judging(bool shares_known) const {
    PseudoLabelOptions out = *this;
    if (rule == PseudoLabelRule::oracle || (rule == PseudoLabelRule::calibrated && !shares_known))
      out.rule = PseudoLabelRule::thresholds;
    return out;
  }
};

/// What of the labels L_kd teaches.
struct DistillationOptions {
  Reading reading = Reading::sigmoid;  ///< σ of the student's frame scores  (reading)
  /// Teach every entry with h ≠ −1, also "not the other classes" on undecided frames; default: only
  /// confident frames, with all their classes whose h ≠ −1  (reading)
  bool every_entry = false;
  bool foreground = true;  ///< false: "no L_kd foreground", only h = 0 teaches  [P]
  bool background = true;  ///< false: "no L_kd background", only h = 1 teaches  [P]
  /// p is kept in [clamp, 1 − clamp], so that p = 0 and p = 1 give a finite loss; the gradient is
  /// that of the nearest probability inside, so a wrong certainty still learns.
  double clamp = 1e-6;
};

/// How L_fb compares frames.
struct ContrastOptions {
  double temperature = 0.07;  ///< τ  [P]
  bool same_video = false;  ///< Ψ⁺ from the anchor's own video only  (reading: the whole batch)
};

}  // namespace wtal
TANDEM_NAMESPACE_END
