#pragma once
/// Positions as numbers that are added to what stands there. (ops/rotary.hpp turns instead.)

#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// The table of sinusoidal positions, (length, width): PE(t, 2i) = sin(t/base^{2i/width}),
/// PE(t, 2i+1) = cos(t/base^{2i/width}).                                [Vaswani et al. 2017, §3.5]
///   const auto x = zeros<float>({3, 2, 4});   // (B, T, width)
///   (x + nn::sinusoidal_positions<float>(x.size(1), x.size(2)))[0];
///   // → [[0., 1., 0., 1.], [0.8415, 0.5403, 0.01, 0.9999]]
/// Errors: a negative size; base not positive.
template <FloatingElement T>
Tensor<T> sinusoidal_positions(std::int64_t length, std::int64_t width, double base = 10000) {
  TANDEM_CHECK(base > 0, "sinusoidal_positions", "the base must be positive, it is ", base);
  Tensor<T> table(Shape{length, width});
  T* p = table.mutable_data();
  for (std::int64_t t = 0; t < length; ++t) {
    for (std::int64_t d = 0; d < width; ++d) {
      const double rate =
          __builtin_pow(base, -static_cast<double>(d / 2 * 2) / static_cast<double>(width));
      const double angle = static_cast<double>(t) * rate;
      *p++ = T(d % 2 == 0 ? __builtin_sin(angle) : __builtin_cos(angle));
    }
  }
  return table;
}

}  // namespace nn
TANDEM_NAMESPACE_END
