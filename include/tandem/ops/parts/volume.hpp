#pragma once
/// Images and sequences as volumes: what the 1-d and 2-d ops make of those of three axes.

#include "tandem/cpu/window3d.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

inline constexpr const char* axis_forms[3] = {"width)", "height, width)", "depth, height, width)"};

/// x (N, C, …) of `axes` axes with axes of length 1 before them.  Errors: another rank, an axis of
/// length 0.
template <int axes, class T>
Tensor<T> to_volume(const char* op, const Tensor<T>& x) {
  TANDEM_CHECK(x.rank() == axes + 2, op, "expected x of shape (N, C, ", axis_forms[axes - 1],
               ", got ", x.shape());
  Shape shape{x.size(0), x.size(1)};
  for (int a = axes; a < 3; ++a) shape.push_back(1);
  for (int a = 0; a < axes; ++a) {
    TANDEM_CHECK(x.size(a + 2) >= 1, op, "the ", axis_names[a + 3 - axes],
                 " of x is 0: ", x.shape());
    shape.push_back(x.size(a + 2));
  }
  return x.reshape(shape);
}
/// What to_volume put in is taken out again.
template <int axes, class T>
Tensor<T> from_volume(const Tensor<T>& y) {
  Shape shape{y.size(0), y.size(1)};
  for (int a = 3 - axes; a < 3; ++a) shape.push_back(y.size(a + 2));
  return y.reshape(shape);
}

}  // namespace detail
TANDEM_NAMESPACE_END
