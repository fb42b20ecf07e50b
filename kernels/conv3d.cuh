#pragma once
/// The pieces of conv3d.cu and conv3d_mma.cu: the right factor of an implicit product, and what a
/// launch of one is told.

#include "common.cuh"
#include "tandem/cpu/window3d.hpp"

namespace tandem_kernels {

using tandem::detail::Window3d;
using tandem::detail::WindowAxis;

/// A row or a column of the right factor. The sum of a row's and a column's (z, y, x) is a
/// position, the sum of their bases where its volume begins. `other`: where the left factor has the
/// row's first element, or the result the column's; −1 for one beyond the end, which sees nothing.
struct Spot {
  std::int64_t base, other;
  std::int32_t z, y, x, unused;
};
__device__ inline Spot spot(std::int64_t base, std::int64_t other, std::int64_t z, std::int64_t y,
                            std::int64_t x) {
  return {base,
          other,
          static_cast<std::int32_t>(z),
          static_cast<std::int32_t>(y),
          static_cast<std::int32_t>(x),
          0};
}
__device__ inline Spot no_spot() {
  constexpr std::int32_t far = -(1 << 30);
  return {0, -1, far, far, far, 0};
}

/// Sizes of a convolution.
struct ConvSizes {
  Window3d window;
  std::int64_t in, out, groups;  // channels of a group

  /// Tap (c, kd, kh, kw) of the weight's order, of channels of `volume` elements.
  __device__ Spot tap(std::int64_t k, std::int64_t volume, std::int64_t other, int sign) const {
    const WindowAxis &d = window[0], &h = window[1], &w = window[2];
    const std::int64_t a = k / w.kernel, b = a / h.kernel, c = b / d.kernel;
    return {
        c * volume,
        other,
        sign * static_cast<std::int32_t>(d.dilation) * static_cast<std::int32_t>(b - c * d.kernel),
        sign * static_cast<std::int32_t>(h.dilation) * static_cast<std::int32_t>(a - b * h.kernel),
        sign * static_cast<std::int32_t>(w.dilation) * static_cast<std::int32_t>(k - a * w.kernel),
        0};
  }
  /// Output (n, od, oh, ow) of the first group: the position of its first tap in the sample.
  __device__ Spot output(std::int64_t j) const {
    const WindowAxis &d = window[0], &h = window[1], &w = window[2];
    const std::int64_t a = j / w.out, b = a / h.out, n = b / d.out, p = j - n * window.outputs();
    return spot(n * groups * in * window.inputs(), n * groups * out * window.outputs() + p,
                d.start(b - n * d.out), h.start(a - b * h.out), w.start(j - a * w.out));
  }
};

/// The element of x under a tap of an output, 0 where that is padding.
template <class T>
__device__ T seen(const T* x, const Window3d& window, const Spot& a, const Spot& b) {
  const std::int32_t z = a.z + b.z, y = a.y + b.y, column = a.x + b.x;
  const bool inside = z >= 0 && z < window[0].in && y >= 0 && y < window[1].in && column >= 0 &&
                      column < window[2].in;
  return inside ? x[a.base + b.base + (z * window[1].in + y) * window[2].in + column] : T(0);
}

/// The right factor of y.
template <class T>
struct TapsOfOutputs {
  const T* x;
  ConvSizes sizes;
  __device__ Spot row(std::int64_t k) const { return sizes.tap(k, sizes.window.inputs(), k, 1); }
  __device__ Spot column(std::int64_t j) const { return sizes.output(j); }
  __device__ T at(const Spot& row, const Spot& column) const {
    return seen(x, sizes.window, row, column);
  }
};
/// The left factor a[row.other + i·a_step] and the result to[column.other + i·to_step], i < m; n
/// columns, k rows in slices; of slice s the sums lie s·groups·m·n further on. Of group g, the
/// factors and the result begin g times their group's elements further on; bias (groups·m) may be
/// null.
template <class T>
struct ImplicitProduct {
  T* to;
  const T *a, *bias;
  std::int64_t to_step, a_step, m, n, k, slices, slice_rows;
  bool relu;
  std::int64_t groups, to_group, a_group, right_group, first_group = 0;
};

/// Throws where positions do not fit a Spot.
inline void check_spots(const Window3d& window) {
  for (int axis = 0; axis < 3; ++axis) {
    const WindowAxis& w = window[axis];
    TANDEM_CHECK(w.in + w.front + w.back < std::int64_t{1} << 30, "conv3d",
                 "an axis of 2^30 or more positions does not fit the GPU's kernel: ",
                 w.in + w.front + w.back);
  }
}

/// Launches `start(grid)` for tiles of 64 × 64 of all groups, some groups at a time.
template <class T, class Start>
void for_groups(ImplicitProduct<T>& product, const Start& start) {
  const std::int64_t tiles = (product.m + 63) / 64 * ((product.n + 63) / 64);
  constexpr std::int64_t most = 65535;  // of a grid's second axis
  for (std::int64_t& first = product.first_group; first < product.groups; first += most) {
    const std::int64_t groups = product.groups - first < most ? product.groups - first : most;
    start(dim3(blocks_for(tiles * product.slices, 1), static_cast<unsigned>(groups)));
  }
}

/// conv3d_mma.cu: y, the factors of whose products are rounded to bfloat16.
void conv3d_in_bfloat16(Queue& queue, ImplicitProduct<float> product,
                        const TapsOfOutputs<float>& right);

}  // namespace tandem_kernels
