#pragma once
/// One update of SGD: optim/sgd.hpp has the equations and their source.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

/// A parameter, its gradient and its momentum buffer, null without momentum.
template <class T>
struct SgdTensor {
  T* parameter;
  const T* gradient;
  T* buffer;
  std::int64_t size;
};

template <class V>
struct Sgd {
  V rate, decay, momentum, share;  ///< share = 1 − dampening
  bool nesterov, first;            ///< first: no gradient came before

  /// The same numbers as vectors.
  template <class W>
  TANDEM_FORMULA Sgd<W> as() const {
    return {.rate = W(rate),
            .decay = W(decay),
            .momentum = W(momentum),
            .share = W(share),
            .nesterov = nesterov,
            .first = first};
  }
  /// θ after the gradient g, without momentum.
  TANDEM_FORMULA void update(V& theta, V g) const { theta = theta - rate * (g + decay * theta); }
  /// θ and its momentum buffer after the gradient g.
  TANDEM_FORMULA void update(V& theta, V g, V& buffer) const {
    const V full = g + decay * theta;
    buffer = first ? full : momentum * buffer + share * full;
    theta = theta - rate * (nesterov ? full + momentum * buffer : buffer);
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
