#pragma once
/// What grad_norm and clip_grad_norm give to their kernels: dense gradients, and the factor of all
/// of them.

#include <cstdint>

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

template <class T>
struct GradientTensor {
  T* data;
  std::int64_t size;
};

/// min(1, max_norm/(√squares + 1e-6)); 1 when the squares are not finite.
TANDEM_FORMULA double clip_factor(double squares, double max_norm) {
  const double factor = max_norm / (sqrt(squares) + 1e-6);
  return squares - squares == 0 && factor < 1 ? factor : 1;
}

}  // namespace formula
TANDEM_NAMESPACE_END
