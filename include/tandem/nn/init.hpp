#pragma once
/// Initial values of parameters.

#include "tandem/tensor/random.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// U(−b, b) with b = √(6/(fan_in + fan_out)) for a weight (out, in).        [Glorot & Bengio 2010]
template <FloatingElement T>
Tensor<T> xavier_uniform(const Shape& shape, Generator& random) {
  TANDEM_CHECK(shape.rank() == 2, "xavier_uniform", "expected a shape (out, in), got ", shape);
  const double bound = __builtin_sqrt(6.0 / static_cast<double>(shape[0] + shape[1]));
  return rand<T>(shape, random, -bound, bound);
}

/// U(−1/√fan_in, 1/√fan_in): PyTorch's default for Linear, Kaiming-uniform with a = √5.
///                                                                             [He et al. 2015]
template <FloatingElement T>
Tensor<T> kaiming_uniform(const Shape& shape, std::int64_t fan_in, Generator& random) {
  const double bound = fan_in > 0 ? 1 / __builtin_sqrt(static_cast<double>(fan_in)) : 0;
  return rand<T>(shape, random, -bound, bound);
}

}  // namespace nn
TANDEM_NAMESPACE_END
