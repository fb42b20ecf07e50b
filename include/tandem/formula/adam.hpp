#pragma once
/// One update of Adam and AdamW: optim/adam.hpp has the equations and their source.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

/// A parameter, its gradient and its two moments.
template <class T>
struct AdamTensor {
  T* parameter;
  const T* gradient;
  T *first, *second;
  std::int64_t size;
};

/// The numbers of one step: rate = lr/(1 − β₁ᵗ), root_scale = 1/√(1 − β₂ᵗ); `decay` is added to the
/// gradient times θ (Adam), θ is first multiplied by shrink = 1 − lr·wd (AdamW).
template <class V>
struct Adam {
  V beta1, rest1, beta2, rest2, epsilon, rate, root_scale, decay, shrink;  ///< rest = 1 − β

  /// The same numbers as vectors.
  template <class W>
  TANDEM_FORMULA Adam<W> as() const {
    return {.beta1 = W(beta1),
            .rest1 = W(rest1),
            .beta2 = W(beta2),
            .rest2 = W(rest2),
            .epsilon = W(epsilon),
            .rate = W(rate),
            .root_scale = W(root_scale),
            .decay = W(decay),
            .shrink = W(shrink)};
  }
  /// θ and its two moments after the gradient g.
  TANDEM_FORMULA void update(V& theta, V g, V& first, V& second) const {
    theta = theta * shrink;
    g = g + decay * theta;
    first = beta1 * first + rest1 * g;
    second = beta2 * second + rest2 * (g * g);
    theta = theta - rate * (first / (sqrt(second) * root_scale + epsilon));
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
