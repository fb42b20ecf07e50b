#pragma once
/// What max_pool3d and avg_pool3d share: a thread for each element, its place in its volume, and
/// the windows that contain an element, so that backward gathers instead of adding to shared
/// places.

#include "common.cuh"
#include "tandem/cpu/window3d.hpp"

namespace tandem_kernels {

using tandem::detail::Window3d;
using tandem::detail::WindowAxis;

/// Element i of volumes of these sizes; Index has as many bits as i needs.
template <class Index>
struct Volumes {
  Index depth, height, width;

  __device__ void find(std::int64_t i, std::int64_t& plane, std::int64_t (&at)[3]) const {
    Index rest = static_cast<Index>(i), next = rest / width;
    at[2] = rest - next * width;
    rest = next;
    next = rest / height;
    at[1] = rest - next * height;
    rest = next;
    next = rest / depth;
    at[0] = rest - next * depth;
    plane = next;
  }
};

/// A range [first, last).
struct Range3d {
  std::int64_t first, last;
};
/// The taps of output o that fall on the input.
__device__ inline Range3d taps_inside(const WindowAxis& axis, std::int64_t o) {
  const std::int64_t start = axis.start(o), end = axis.in - start;
  return {start < 0 ? -start : 0, end < axis.kernel ? end : axis.kernel};
}
/// The outputs whose windows contain position i of the input.
__device__ inline Range3d outputs_over(const WindowAxis& axis, std::int64_t i) {
  const std::int64_t padded = i + axis.front, low = padded - axis.kernel + 1,
                     end = padded / axis.stride + 1;
  return {low > 0 ? (low + axis.stride - 1) / axis.stride : 0, end < axis.out ? end : axis.out};
}

/// Calls f.operator()<Index>() with an index for n elements.
template <class F>
void with_index(std::int64_t n, const F& f) {
  n < narrow_below() ? f.template operator()<std::uint32_t>()
                     : f.template operator()<std::int64_t>();
}
template <class Index>
Volumes<Index> input_volumes(const Window3d& window) {
  return {static_cast<Index>(window[0].in), static_cast<Index>(window[1].in),
          static_cast<Index>(window[2].in)};
}
template <class Index>
Volumes<Index> output_volumes(const Window3d& window) {
  return {static_cast<Index>(window[0].out), static_cast<Index>(window[1].out),
          static_cast<Index>(window[2].out)};
}

}  // namespace tandem_kernels
