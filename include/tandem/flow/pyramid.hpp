#pragma once
/// The pyramid of TV-L1: images of falling size by bilinear interpolation.

#include <cmath>
#include <cstdint>
#include <vector>

#include "tandem/cpu/threads.hpp"
#include "tandem/flow/planes.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// Where the pixels of a line of `out` come from in one of `in`: pixel centres are at
/// half-integers,
///   x = (i + ½)·scale − ½,  value = (1 − t)·a[⌊x⌋] + t·a[⌊x⌋ + 1],  t = x − ⌊x⌋,
/// and beyond the ends the end pixel is repeated.
struct LinearAxis {
  std::vector<std::int64_t> low, high;
  std::vector<float> t;

  LinearAxis(std::int64_t in, std::int64_t out, double scale) {
    for (std::int64_t i = 0; i < out; ++i) {
      double x = (static_cast<double>(i) + 0.5) * scale - 0.5;
      const double last = static_cast<double>(in - 1);
      x = x < 0 ? 0 : x > last ? last : x;
      const std::int64_t floor = static_cast<std::int64_t>(x);
      low.push_back(floor);
      high.push_back(floor + 1 < in ? floor + 1 : floor);
      t.push_back(static_cast<float>(x - static_cast<double>(floor)));
    }
  }
};

/// One plane of `from`, resized to the size of `to` and multiplied by `factor`, into a plane of
/// `to`. The scales are how many input pixels an output pixel is wide and high.
inline void resize_linear(const Planes& from, int from_plane, double scale_y, double scale_x,
                          const Planes& to, int to_plane, float factor) {
  const LinearAxis rows(from.height(), to.height(), scale_y);
  const LinearAxis columns(from.width(), to.width(), scale_x);
  const std::int64_t width = to.width();
  cpu::parallel_for(to.height(), 1 + 20000 / width, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> line(static_cast<std::size_t>(from.width()));
    for (std::int64_t y = begin; y < end; ++y) {
      const std::size_t i = static_cast<std::size_t>(y);
      const float* a = from.row(from_plane, rows.low[i]);
      const float* b = from.row(from_plane, rows.high[i]);
      const float t = rows.t[i];
      float* middle = line.data();
      for (std::int64_t x = 0; x < from.width(); ++x) middle[x] = a[x] + t * (b[x] - a[x]);
      float* out = to.row(to_plane, y);
      for (std::int64_t x = 0; x < width; ++x) {
        const std::size_t j = static_cast<std::size_t>(x);
        const float left = middle[columns.low[j]], right = middle[columns.high[j]];
        out[x] = factor * (left + columns.t[j] * (right - left));
      }
    }
  });
}

struct ScaleSize {
  std::int64_t height, width;
};

/// The sizes of the pyramid, finest first: each is the one before times `step`, rounded; it ends
/// after `scales` sizes, before one side would be shorter than 16 pixels, or where rounding leaves
/// a size as it is.
inline std::vector<ScaleSize> pyramid_sizes(std::int64_t height, std::int64_t width, int scales,
                                            double step) {
  std::vector<ScaleSize> sizes{{height, width}};
  while (static_cast<int>(sizes.size()) < scales) {
    const auto next = [step](std::int64_t n) {
      return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(n) * step));
    };
    const ScaleSize smaller{next(sizes.back().height), next(sizes.back().width)};
    if (smaller.height < 16 || smaller.width < 16) break;
    if (smaller.height == sizes.back().height && smaller.width == sizes.back().width) break;
    sizes.push_back(smaller);
  }
  return sizes;
}

}  // namespace flow::detail
TANDEM_NAMESPACE_END
