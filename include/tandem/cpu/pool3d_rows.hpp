#pragma once
/// What max_pool3d and avg_pool3d share: options, the door, and the planes that threads share out.

#include <cstdint>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cpu/window3d.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// Throws unless these are numbers of a pool, whatever it moves over: what a layer asks when it is
/// made.
inline void require_pool(const char* op, const Triple& kernel, const Triple& stride,
                         const Padding3d& padding) {
  const bool none = stride.depth == 0 && stride.height == 0 && stride.width == 0;
  require_window(op, kernel, none ? kernel : stride, padding);
  for (int a = 0; a < 3; ++a) {
    const Margin& margin = padding[a];
    TANDEM_CHECK(padding.automatic || (margin.before < kernel[a] && margin.after < kernel[a]), op,
                 "the padding along the ", axis_names[a], ", ", margin.before, " and ",
                 margin.after, ", must be smaller than the kernel, ", kernel[a]);
  }
}

/// The window of a pool. Every output must see an element of x, so the padding is smaller than the
/// kernel.
inline Window3d pool_window(const char* op, const Shape& shape, const Triple& kernel,
                            const Triple& stride, const Padding3d& padding) {
  const bool none = stride.depth == 0 && stride.height == 0 && stride.width == 0;
  const Window3d window = window3d(op, shape, kernel, none ? kernel : stride, padding);
  require_pool(op, kernel, stride, padding);
  return window;
}

inline Shape pooled_shape(const Shape& x, const Window3d& window) {
  return {x[0], x[1], window[0].out, window[1].out, window[2].out};
}

/// The taps [first, last) of output o that fall on elements of the input; there is at least one.
struct TapRange {
  TapRange(const WindowAxis& axis, std::int64_t o) : start(axis.start(o)) {
    first = start < 0 ? -start : 0;
    last = axis.in - start < axis.kernel ? axis.in - start : axis.kernel;
  }
  std::int64_t start, first, last;
};

/// Calls f(begin, end) on ranges of planes (a plane for each sample and channel), on all threads.
template <class F>
void each_plane(std::int64_t planes, const Window3d& window, F f) {
  const std::int64_t work = window.inputs() + window.outputs();
  cpu::parallel_for(planes, grain_for(work), f);
}

/// The elements of x and its padding; throws where that is beyond 64 bits.
inline std::int64_t padded_volume(const Window3d& window) {
  Shape padded;
  for (const WindowAxis& axis : window.axis) padded.push_back(axis.in + axis.front + axis.back);
  return padded.numel();
}

/// A padded row of width `window` and room for a vector to read past its end.
inline Shape pool_row(const Window3d& window) {
  return {window[2].in + window[2].front + window[2].back + 64};
}

}  // namespace detail
TANDEM_NAMESPACE_END
