#pragma once
/// silu — y = x·σ(x), also called swish.                        [Elfwing et al. 2018, eq. 8]
///   dx = dy·s·(1 + x·(1 − s)),  s = σ(x)
///   x (…) → same shape.  Saves x.
///
///   silu(tensor<float>({-1, 0, 1}));   // → [-0.2689, 0., 0.7311]

#include "tandem/formula/silu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
Tensor<T> silu(const Tensor<T>& x) {
  return detail::saving_input<formula::SiluGradient>("silu", formula::Silu(), x);
}
TANDEM_FLOATS_ONLY(silu)

TANDEM_NAMESPACE_END
