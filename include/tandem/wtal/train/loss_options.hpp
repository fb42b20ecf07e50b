#pragma once
/// What L_kd and L_fb can be told: plain values, which their kernels take too.         [method §4]

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What σ means for scores over classes.                                   [method §3 "σ", reading]
enum class Reading { sigmoid, softmax };

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

struct ContrastOptions {
  double temperature = 0.07;  ///< τ  [P]
  bool same_video = false;  ///< Ψ⁺ from the anchor's own video only  (reading: the whole batch)
};

}  // namespace wtal
TANDEM_NAMESPACE_END
