#pragma once
/// −[y·max(ln p, −100) + (1 − y)·max(ln(1 − p), −100)] of a probability p, and its derivative by p,
/// (p − y)/max(p·(1 − p), 1e-12): PyTorch's binary_cross_entropy. NaN stays NaN.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct ClampedBce {
  template <class C>
  TANDEM_FORMULA C operator()(C p, C y) const {
    return -(y * max(C(-100), log(p)) + (1 - y) * max(C(-100), log1p(-p)));
  }
};
struct ClampedBceGradient {
  template <class C>
  TANDEM_FORMULA C operator()(C p, C y) const {
    return (p - y) / max(C(1e-12F), (1 - p) * p);  // a float in PyTorch's code, whatever p is
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
