#pragma once
/// What grad_norm and clip_grad_norm give to their kernels: a gradient, dense.

#include <cstdint>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

template <class T>
struct GradientTensor {
  T* data;
  std::int64_t size;
};

}  // namespace formula
TANDEM_NAMESPACE_END
