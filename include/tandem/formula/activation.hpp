#pragma once
/// The activations that a linear layer applies to its product, by name.

#include <cstdint>

#include "tandem/formula/gelu.hpp"
#include "tandem/formula/quick_gelu.hpp"
#include "tandem/formula/relu.hpp"

TANDEM_NAMESPACE_BEGIN

/// The identity, max(x, 0), x·Φ(x) with the exact erf, or x·σ(1.702 x).
enum class Activation { none, relu, gelu, quick_gelu };

namespace formula {

template <class V>
TANDEM_FORMULA V activate(Activation activation, V x) {
  switch (activation) {
    case Activation::none:
      break;
    case Activation::relu:
      return Relu()(x);
    case Activation::gelu:
      return Gelu()(x);
    case Activation::quick_gelu:
      return QuickGelu()(x);
  }
  return x;
}

/// Calls f(gradient), gradient(dy, z) = dy·act′(z): so that the choice stands outside of a loop.
template <class F>
TANDEM_ALWAYS_INLINE void with_activation_gradient(Activation activation, const F& f) {
  switch (activation) {
    case Activation::none:
      return;
    case Activation::relu:
      return f(ReluGradient());
    case Activation::gelu:
      return f(GeluGradient());
    case Activation::quick_gelu:
      return f(QuickGeluGradient());
  }
}

}  // namespace formula
TANDEM_NAMESPACE_END
