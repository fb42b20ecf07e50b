#pragma once
/// What a matrix product is told besides its matrices. (Without SIMD, so that kernels/ can read it
/// too.)

#include <cstdint>

#include "tandem/formula/activation.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// Whether an operand is used as stored (no) or transposed (yes).
enum class Trans : bool { no, yes };

using tandem::Activation;

/// What happens to an element x of alpha·op(A)·op(B) + beta·C when its last term has been added,
/// while it is still in the cache:
///
///   x += bias[j];  pre_activation[i, j] = x;  x = activation(x);  x += residual[i, j]
///
/// Null pointers leave their step out. `pre_activation` is what the backward of the activation
/// needs. None of the arrays may overlap C.
template <class T>
struct Epilogue {
  const T* bias = nullptr;  // n
  Activation activation = Activation::none;
  T* pre_activation = nullptr;  // (m, n), rows ld_pre apart
  std::int64_t ld_pre = 0;
  const T* residual = nullptr;  // (m, n), rows ld_residual apart
  std::int64_t ld_residual = 0;

  bool empty() const {
    return bias == nullptr && activation == Activation::none && pre_activation == nullptr &&
           residual == nullptr;
  }
};

}  // namespace cpu
TANDEM_NAMESPACE_END
