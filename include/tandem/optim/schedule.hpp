#pragma once
/// Learning-rate schedules: factors of the base rate as a function of the step.

#include <cstdint>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

/// Linear warm-up, then a constant, or half a cosine down to `final_factor`.
///   step < warmup:  (step + 1)/warmup
///   cosine:         final + (1 − final)·(1 + cos(π·progress))/2, progress = (step − warmup)/(total
///   − warmup)
///                                                                [Loshchilov & Hutter 2017, eq. 5]
///   optimizer.set_learning_rate(base * schedule.factor(step));
struct Schedule {
  enum class Kind { constant, cosine };
  Kind kind = Kind::constant;  ///< what follows the warm-up
  std::int64_t warmup = 0;     ///< steps
  std::int64_t total = 0;      ///< steps; needed by cosine
  double final_factor = 0;     ///< where the cosine ends, as a part of the base rate

  /// What to multiply the base rate with in a step. Errors: a negative step; cosine without total.
  double factor(std::int64_t step) const {
    TANDEM_CHECK(step >= 0, "schedule", "a step must not be negative, it is ", step);
    if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
    if (kind == Kind::constant) return 1;
    TANDEM_CHECK(total > warmup, "schedule", "a cosine needs more steps in total (", total,
                 ") than in the warm-up (", warmup, ")");
    double progress = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    if (progress > 1) progress = 1;
    constexpr double pi = 3.14159265358979323846;
    return final_factor + (1 - final_factor) * (1 + __builtin_cos(pi * progress)) / 2;
  }
};

}  // namespace optim
TANDEM_NAMESPACE_END
