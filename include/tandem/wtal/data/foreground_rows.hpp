#pragma once
/// foreground_rows — which rows of a video an annotation calls action.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// foreground_rows — which rows lie in an annotated instance of a class: 1 where the centre
/// s·(t + ½) of row t is inside some [start, end) (reading), else 0.
inline std::vector<std::uint8_t> foreground_rows(
    const VideoTruth& video, int cls, std::size_t rows,
    double seconds_per_row = conventional_seconds_per_row) {
  std::vector<std::uint8_t> inside(rows, 0);
  const double last = static_cast<double>(rows);
  for (const Instance& instance : video.instances) {
    if (instance.cls != cls) continue;
    // s·(t + ½) ≥ start  ⇔  t ≥ start/s − ½.  Clamping also disposes of NaN.
    auto row = [&](double seconds) {
      const double t = std::ceil(seconds / seconds_per_row - 0.5);
      return t > 0 ? static_cast<std::size_t>(t < last ? t : last) : std::size_t{0};
    };
    for (std::size_t t = row(instance.segment.start); t < row(instance.segment.end); ++t) {
      inside[t] = 1;
    }
  }
  return inside;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
