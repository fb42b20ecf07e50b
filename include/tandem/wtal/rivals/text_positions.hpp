#pragma once
/// The sinusoid of Boosting-WTAL's text.

#include <cstdint>

#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// halves_sinusoid — positions whose sines and cosines stand in two halves and not in turn:
///   row 0 is zero; row i > 0: [sin(i·ω_j), …, cos(i·ω_j), …], ω_j = exp(−j·ln(10000)/(D/2 − 1)),
///   j < D/2.                                                                     [method §11, C]
/// (rows, width); a width that is odd has a last column of zeros.
template <FloatingElement T>
Tensor<T> halves_sinusoid(std::int64_t rows, std::int64_t width) {
  const std::int64_t half = width / 2;
  TANDEM_CHECK(half >= 2, "halves_sinusoid", "the width must be at least 4, it is ", width);
  const Tensor<T> table = zeros<T>({rows, width});
  T* p = table.mutable_data();
  const double fall = __builtin_log(10000.0) / static_cast<double>(half - 1);
  for (std::int64_t i = 1; i < rows; ++i) {
    for (std::int64_t j = 0; j < half; ++j) {
      const double angle = static_cast<double>(i) * __builtin_exp(-fall * static_cast<double>(j));
      p[i * width + j] = T(__builtin_sin(angle));
      p[i * width + half + j] = T(__builtin_cos(angle));
    }
  }
  return table;
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END
