#pragma once
/// How flow is resized and cropped for I3D (preprocess.hpp), as the CPU and the kernel of a GPU
/// take it.

#include <cstddef>
#include <cstdint>

#include "tandem/image/resize_axis.hpp"

TANDEM_NAMESPACE_BEGIN
namespace i3d {
namespace detail {

/// One axis of a picture, resized and cropped.
struct FlowAxis {
  io::detail::ResizeTaps taps;
  bool identity;
  std::int64_t first;  ///< of the resized picture
  double factor;       ///< of the vectors

  FlowAxis(std::int64_t in, std::int64_t out, std::int64_t first_kept, std::int64_t crop,
           io::ResizeFilter filter)
      : taps(in, out, first_kept, crop, filter),
        identity(in == out),
        first(first_kept),
        factor(static_cast<double>(out) / static_cast<double>(in)) {}
  std::int64_t low() const { return identity ? first : taps.begin.front(); }
  std::int64_t high() const {
    return identity ? first + taps.count : taps.begin.back() + taps.taps.back();
  }
  /// Output i from inputs that lie `step` apart, the first of which is number `base`; added up in
  /// double and rounded, as in Pillow.
  float at(std::int64_t i, const float* in, std::int64_t step, std::int64_t base) const {
    if (identity) return in[(first + i - base) * step];
    const std::size_t n = static_cast<std::size_t>(i);
    const double* w = taps.weights.data() + i * taps.width;
    double sum = 0;
    for (std::int64_t k = 0; k < taps.taps[n]; ++k) {
      sum += static_cast<double>(in[(taps.begin[n] - base + k) * step]) * w[k];
    }
    return static_cast<float>(sum);
  }
};

/// `count` fields of flow (height, width, 2) on their way to planes (2, count, crop, crop).
struct FlowJob {
  std::int64_t count, height, width, crop;
  float bound;
  FlowAxis rows, columns;
};

}  // namespace detail
}  // namespace i3d
TANDEM_NAMESPACE_END
