#pragma once
/// leaky_relu — y = x where x > 0, slope·x elsewhere.              [Maas et al. 2013, section 2]
///   dx = dy where x > 0, slope·dy elsewhere (at 0, too)
///   x (…) → same shape.  Saves x.
///
///   leaky_relu(tensor<float>({-5, 0, 5}), 0.2);   // → [-1., 0., 5.]

#include "tandem/formula/leaky_relu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> leaky_relu(const Tensor<T>& x, double slope = 0.01) {
  using C = detail::compute_t<T>;
  const formula::LeakyRelu<C> f{static_cast<C>(slope)};
  return detail::saving_input("leaky_relu", f, x, formula::LeakyReluGradient<C>{f.slope});
}
TANDEM_FLOATS_ONLY(leaky_relu)

TANDEM_NAMESPACE_END
