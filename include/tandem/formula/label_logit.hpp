#pragma once
/// The logit ln(x/(1 − x)) of a probability that may have been rounded to a float: inside of what a
/// float can tell from 0 and 1, ±17.

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

TANDEM_FORMULA double label_logit(double x) {
  const double inside = min(1 - 0x1p-25, max(0x1p-25, x));
  return log(inside) - log1p(-inside);
}

}  // namespace formula
TANDEM_NAMESPACE_END
