#pragma once
/// Learning-rate schedules: factors of the base rate as a function of the step.

#include <cstdint>
#include <limits>

#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

namespace detail {
/// Throws unless a part of the base rate is a number from 0 on, so that no rate becomes negative.
inline void require_part(const char* what, double value) {
  TANDEM_CHECK(value >= 0 && is_finite(value), "schedule", what,
               " must be finite and not negative, it is ", value);
}
}  // namespace detail

/// Linear warm-up, then a constant, or half a cosine down to `final_factor`.
///   step < warmup:  (step + 1)/warmup
///   cosine:         final + (1 − final)·(1 + cos(π·progress))/2,
///                   progress = (step − warmup)/(total − warmup)
///                                                                [Loshchilov & Hutter 2017, eq. 5]
///
///   using Kind = optim::Schedule::Kind;
///   const optim::Schedule schedule{.kind = Kind::cosine, .warmup = 2, .total = 6};
///   for (int step = 0; step < 7; ++step) factors.push_back(schedule.factor(step));
///   factors;                                          // → {0.5, 1, 1, 0.853553, 0.5, 0.146447, 0}
///   sgd.set_learning_rate(0.1 * schedule.factor(4));   // before each step
struct Schedule {
  enum class Kind { constant, cosine };
  Kind kind = Kind::constant;  ///< what follows the warm-up
  std::int64_t warmup = 0;     ///< steps
  std::int64_t total = 0;      ///< steps; needed by cosine
  double final_factor = 0;     ///< where the cosine ends, as a part of the base rate

  /// What to multiply the base rate with in a step. Errors: a negative step or final factor; cosine
  /// without total.
  double factor(std::int64_t step) const {
    TANDEM_CHECK(step >= 0, "schedule", "a step must not be negative, it is ", step);
    if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
    if (kind == Kind::constant) return 1;
    TANDEM_CHECK(total > warmup, "schedule", "a cosine needs more steps in total (", total,
                 ") than in the warm-up (", warmup, ")");
    detail::require_part("the final factor", final_factor);
    double progress = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    if (progress > 1) progress = 1;
    constexpr double pi = 3.14159265358979323846;
    return final_factor + (1 - final_factor) * (1 + __builtin_cos(pi * progress)) / 2;
  }
};

/// The rate falls by a factor every `size` steps: γ^⌊step/size⌋. (torch.optim.lr_scheduler.StepLR)
///
///   optim::StepSchedule{.size = 30, .gamma = 0.1}.factor(60);   // → 0.01
struct StepSchedule {
  std::int64_t size = 1;  ///< steps
  double gamma = 0.1;     ///< γ

  /// What to multiply the base rate with in a step. Errors: a negative step; a size below
  /// 1; γ negative or not finite.
  double factor(std::int64_t step) const {
    TANDEM_CHECK(step >= 0 && size >= 1, "schedule", "step ", step, " of periods of ", size,
                 ": the first must not be negative, the second at least 1");
    detail::require_part("gamma", gamma);
    return __builtin_pow(gamma, static_cast<double>(step / size));
  }
};

/// γ^step. (torch.optim.lr_scheduler.ExponentialLR)
///
///   optim::ExponentialSchedule{.gamma = 0.5}.factor(3);   // → 0.125
struct ExponentialSchedule {
  double gamma = 0.99;  ///< γ

  /// What to multiply the base rate with in a step. Errors: a negative step; γ negative or not
  /// finite.
  double factor(std::int64_t step) const { return StepSchedule{1, gamma}.factor(step); }
};

/// Half a cosine from 1 to `final_factor` again and again, each `growth` times as long as the last.
///   final + (1 − final)·(1 + cos(π·t/T))/2, t steps after the last restart, T steps before the
///   next                                                         [Loshchilov & Hutter 2017, eq. 5]
///
///   const optim::CosineRestarts restarts{.period = 10, .growth = 2};
///   restarts.factor(5);    // → 0.5
///   restarts.factor(10);   // → 1
struct CosineRestarts {
  std::int64_t period = 1;  ///< steps of the first cosine
  std::int64_t growth = 1;  ///< of each period over that before it
  double final_factor = 0;  ///< where the cosines end, as a part of the base rate

  /// What to multiply the base rate with in a step. Errors: a negative step; a period or a growth
  /// below 1; a negative final factor.
  double factor(std::int64_t step) const {
    TANDEM_CHECK(step >= 0, "schedule", "a step must not be negative, it is ", step);
    TANDEM_CHECK(period >= 1 && growth >= 1, "schedule",
                 "the period and its growth must be at least 1, they are ", period, " and ",
                 growth);
    detail::require_part("the final factor", final_factor);
    std::int64_t t = growth == 1 ? step % period : step, length = period;
    while (t >= length) {
      t -= length;
      // A period beyond 64 bits is longer than all steps that can be counted.
      if (__builtin_mul_overflow(length, growth, &length)) {
        length = std::numeric_limits<std::int64_t>::max();
      }
    }
    constexpr double pi = 3.14159265358979323846;
    const double progress = static_cast<double>(t) / static_cast<double>(length);
    return final_factor + (1 - final_factor) * (1 + __builtin_cos(pi * progress)) / 2;
  }
};

/// One cycle: half a cosine up from 1/div to 1, the base rate, then one down to 1/(div·final_div).
///                                                        [Smith & Topin 2019; OneCycleLR of torch]
///   the top is at step rise·total − 1, the end at total − 1, where it stays
///   (PyTorch also moves the momentum; here it stays)
///
///   const optim::OneCycle cycle{.total = 100};
///   cycle.factor(0);    // → 0.04
///   cycle.factor(29);   // → 1
struct OneCycle {
  std::int64_t total = 0;  ///< steps
  double rise = 0.3;       ///< the part of them before the top
  double div = 25;         ///< the top over the first rate
  double final_div = 1e4;  ///< the first rate over the last

  /// What to multiply the base rate, the largest, with in a step. Errors: a negative step; no step
  /// before the end or the top; divisors that are not positive.
  double factor(std::int64_t step) const {
    TANDEM_CHECK(step >= 0, "schedule", "a step must not be negative, it is ", step);
    const double top = rise * static_cast<double>(total) - 1, end = static_cast<double>(total - 1);
    TANDEM_CHECK(top > 0 && top < end, "schedule", "a cycle of ", total, " steps, ", rise,
                 " of them before the top, needs more than one step on either side");
    TANDEM_CHECK(div > 0 && final_div > 0 && is_finite(1 / div) && is_finite(1 / div / final_div),
                 "schedule", "the divisors must be positive, and one over them finite, they are ",
                 div, " and ", final_div);
    const auto at = static_cast<double>(step);
    const double low = 1 / div, last = low / final_div;
    if (at <= top) return between(low, 1, at / top);
    return at < end ? between(1, last, (at - top) / (end - top)) : last;
  }

 private:
  static double between(double from, double to, double progress) {
    constexpr double pi = 3.14159265358979323846;
    return to + (from - to) * (1 + __builtin_cos(pi * progress)) / 2;
  }
};

/// How Plateau judges.
struct PlateauOptions {
  double factor = 0.1;         ///< what the rate is multiplied with
  std::int64_t patience = 10;  ///< how many measures in a row may be no better
  double threshold = 1e-4;  ///< better is below best·(1 − threshold), or above best·(1 + threshold)
  bool larger_is_better = false;
  std::int64_t cooldown = 0;  ///< measures after a cut that are not judged
  double min_factor = 0;      ///< the rate does not fall below this part of the base rate
};

/// Cuts the rate where a measure no longer gets better.
/// (torch.optim.lr_scheduler.ReduceLROnPlateau)
///   optim::Plateau plateau({.factor = 0.5, .patience = 1});   // after each epoch:
///   for (double loss : {3.0, 2.0, 2.0, 2.0}) sgd.set_learning_rate(0.1 * plateau.update(loss));
///   sgd.learning_rate();                                      // → 0.05
class Plateau {
 public:
  /// All that changes, for a checkpoint.
  struct State {
    double factor = 1;      ///< of the base rate
    double best = 0;        ///< the best measure
    bool any = false;       ///< whether there was one
    std::int64_t bad = 0;   ///< measures in a row that were no better
    std::int64_t cool = 0;  ///< measures that are not judged yet
  };

  /// Errors: a factor outside (0, 1); a negative patience, threshold or cooldown; a threshold that
  /// is not finite; a smallest factor outside [0, 1].
  explicit Plateau(const PlateauOptions& options = {}) : options_(options) {
    TANDEM_CHECK(options.factor > 0 && options.factor < 1, "plateau",
                 "the factor must lie between 0 and 1, it is ", options.factor);
    TANDEM_CHECK(options.patience >= 0 && options.threshold >= 0 && options.cooldown >= 0,
                 "plateau", "patience, threshold and cooldown must not be negative");
    TANDEM_CHECK(is_finite(options.threshold), "plateau", "the threshold must be finite, it is ",
                 options.threshold);
    TANDEM_CHECK(options.min_factor >= 0 && options.min_factor <= 1, "plateau",
                 "the smallest factor must be from 0 to 1, it is ", options.min_factor);
  }
  /// Takes a measure and returns the factor of the base rate from now on. NaN is never better.
  double update(double measure) {
    const double sign = options_.larger_is_better ? 1 : -1;
    const bool better =
        state_.any ? sign * measure > sign * (state_.best * (1 + sign * options_.threshold))
                   : measure == measure;
    if (better) {
      state_.best = measure;
      state_.any = true;
      state_.bad = 0;
    } else {
      ++state_.bad;
    }
    if (state_.cool > 0) {
      --state_.cool;
      state_.bad = 0;
    }
    if (state_.bad > options_.patience) {
      const double next = state_.factor * options_.factor;
      state_.factor = next > options_.min_factor ? next : options_.min_factor;
      state_.cool = options_.cooldown;
      state_.bad = 0;
    }
    return state_.factor;
  }
  /// What to multiply the base rate with now.
  double factor() const { return state_.factor; }
  /// What update() has found so far.
  const State& state() const { return state_; }
  /// Puts what another run has found in its place. Errors: a factor outside [0, 1]; negative
  /// counts.
  void load_state(const State& state) {
    TANDEM_CHECK(state.factor >= 0 && state.factor <= 1 && state.bad >= 0 && state.cool >= 0,
                 "plateau", "a state has a factor from 0 to 1 and counts from 0 on, this one has ",
                 state.factor, ", ", state.bad, " and ", state.cool);
    state_ = state;
  }

 private:
  PlateauOptions options_;
  State state_;
};

}  // namespace optim
TANDEM_NAMESPACE_END
