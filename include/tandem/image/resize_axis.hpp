#pragma once
/// What the outputs of one axis of a picture that is resized are made of, and a job of resizing
/// (resize.hpp has the formula); without vector code, for the kernels.

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// Pillow's filters: Keys' cubic with a = −0.5, or linear interpolation; both wider when shrinking.
enum class ResizeFilter { bicubic, bilinear };

namespace detail {

inline constexpr int resize_bits = 32 - 8 - 2;

/// The cubic of Keys with a = −0.5, in Pillow's own order of operations. The products are rounded
/// by themselves whatever the compiler would fuse: a last bit can become another byte.
inline double resize_cubic(double x) {
  const auto times = [](double first, double second) {
    const volatile double product = first * second;
    return product;
  };
  constexpr double a = -0.5;
  if (x < 0) x = -x;
  if (x < 1) return times(times(times(a + 2, x) - (a + 3), x), x) + 1;
  if (x < 2) return times(times(times(x - 5, x) + 8, x) - 4, a);
  return 0;
}

/// What the outputs first … first + count − 1 of an axis that goes from `in` to `out` are made of.
struct ResizeTaps {
  std::int64_t count = 0, width = 0;      // outputs, and room for the weights of each
  std::vector<std::int64_t> begin, taps;  // per output: the first input, and how many
  std::vector<double> weights;  // (count, width), zeros after the taps; each row adds up to 1

  ResizeTaps(std::int64_t in, std::int64_t out, std::int64_t first, std::int64_t outputs,
             ResizeFilter filter)
      : count(outputs) {
    const bool cubic = filter == ResizeFilter::bicubic;
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double filter_scale = scale < 1 ? 1 : scale;
    const double support = (cubic ? 2 : 1) * filter_scale, inverse = 1 / filter_scale;
    width = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
    weights.assign(static_cast<std::size_t>(count * width), 0);
    for (std::int64_t i = 0; i < count; ++i) {
      const double center = (static_cast<double>(first + i) + 0.5) * scale;
      std::int64_t low = static_cast<std::int64_t>(center - support + 0.5);
      std::int64_t high = static_cast<std::int64_t>(center + support + 0.5);
      if (low < 0) low = 0;
      if (high > in) high = in;
      double* const w = weights.data() + i * width;
      double sum = 0;
      for (std::int64_t x = 0; x < high - low; ++x) {
        const volatile double place = (static_cast<double>(x + low) - center + 0.5) * inverse;
        const double t = place;  // rounded, whatever the compiler would fuse
        w[x] = cubic ? resize_cubic(t) : std::fabs(t) < 1 ? 1 - std::fabs(t) : 0;
        sum += w[x];
      }
      for (std::int64_t x = 0; x < high - low && sum != 0; ++x) w[x] /= sum;
      begin.push_back(low);
      taps.push_back(high - low);
    }
  }
};

/// The same with whole numbers, as bytes are resized.
struct ResizeAxis {
  std::int64_t count = 0, width = 0;
  std::vector<std::int64_t> begin, taps;
  std::vector<std::int32_t> coefficients;  // (count, width)
  bool identity = false;

  ResizeAxis(std::int64_t in, std::int64_t out, std::int64_t first, std::int64_t outputs,
             ResizeFilter filter = ResizeFilter::bicubic)
      : identity(in == out) {
    ResizeTaps exact(in, out, first, outputs, filter);
    count = exact.count;
    width = exact.width;
    begin = std::move(exact.begin);
    taps = std::move(exact.taps);
    for (const double w : exact.weights) {
      const double scaled = w * (1 << resize_bits);
      coefficients.push_back(static_cast<std::int32_t>(w < 0 ? scaled - 0.5 : scaled + 0.5));
    }
  }
  const std::int32_t* row(std::int64_t i) const { return coefficients.data() + i * width; }
};

inline constexpr int resize_half = 1 << (resize_bits - 1);

/// `count` images of height × width pixels of `channels` bytes, 3 or 4, one behind the other, to
/// the rows and columns of two axes, of which `top` and `left` say where they begin where nothing
/// is resized. Image i goes to i·step bytes behind the first, in rows of `stride` bytes.
struct ResizeJob {
  std::int64_t height, width, channels;
  ResizeAxis rows, columns;
  std::int64_t top, left;
  std::int64_t count, step, stride;

  /// Whether pixels are only copied.
  bool identity() const { return rows.identity && columns.identity; }
};

}  // namespace detail
}  // namespace io
TANDEM_NAMESPACE_END
