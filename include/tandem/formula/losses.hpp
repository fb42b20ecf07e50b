#pragma once
/// What losses give for element i of their inputs, on any device, and their gradients for it.
/// `gradient` is dl, or dl/n for the mean. Null pointers stand for what was not given.
///
///   bce_with_logits  l = w·(max(x, 0) − x·t + log(1 + e^−|x|));  dx = w·(σ(x) − t)·g
///   mse              l = (x − t)²;  dx = 2 (x − t)·g, dt = −dx
///   cross_entropy    l as it was computed row by row

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN

/// none keeps one loss per element, sum adds them, mean divides the sum by the number of elements
/// that take part (0 when none does: an empty batch teaches nothing and breaks nothing).
enum class Reduction { none, mean, sum };

namespace formula {

template <class T>
struct BceLoss {
  const T *x, *target, *weight;
  const bool* mask;
  TANDEM_FORMULA T operator()(std::int64_t i) const {
    if (mask != nullptr && !mask[i]) return T(0);
    const T z = x[i], magnitude = z < 0 ? -z : z;
    const T loss = (z > 0 ? z : T(0)) - z * target[i] + log1p(exp(-magnitude));
    return weight != nullptr ? weight[i] * loss : loss;
  }
};
template <class T>
struct BceLossGradient {
  const T *x, *target, *weight;
  const bool* mask;
  TANDEM_FORMULA T operator()(std::int64_t i, T gradient) const {
    if (mask != nullptr && !mask[i]) return T(0);
    const T z = x[i], e = exp(z < 0 ? z : -z);  // in (0, 1]
    const T sigma = (z < 0 ? e : T(1)) / (1 + e);
    return (weight != nullptr ? weight[i] : T(1)) * (sigma - target[i]) * gradient;
  }
};

template <class T>
struct MseLoss {
  const T *x, *target;
  TANDEM_FORMULA T operator()(std::int64_t i) const {
    const T difference = x[i] - target[i];
    return difference * difference;
  }
};
/// factor: 2 for dx, −2 for dt.
template <class T, int factor>
struct MseLossGradient {
  const T *x, *target;
  TANDEM_FORMULA T operator()(std::int64_t i, T gradient) const {
    return T(factor) * (x[i] - target[i]) * gradient;
  }
};

/// Losses that are in memory already.
template <class T>
struct ComputedLoss {
  const T* losses;
  TANDEM_FORMULA T operator()(std::int64_t i) const { return losses[i]; }
};

}  // namespace formula
TANDEM_NAMESPACE_END
