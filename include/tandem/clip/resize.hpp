#pragma once
/// Bicubic resizing of 8-bit images, byte for byte as Pillow's Image.resize(size, Image.BICUBIC) does it.
///
///   out[x] = clip8(⌊(2²¹ + Σᵢ in[first(x) + i] · k(x, i)) / 2²²⌋)     first along rows, then columns
///   k(x, i) = w(x, i) / Σⱼ w(x, j), rounded to 22 bits after the point
///   w(x, i) = cubic((first(x) + i + ½ − c) / f),  c = (x + ½)·s,  s = in / out,  f = max(s, 1)
///   cubic(t) = 1.5|t|³ − 2.5|t|² + 1 for |t| < 1,  −0.5|t|³ + 2.5|t|² − 4|t| + 2 for |t| < 2, else 0
/// Pixels from ⌊c − 2f + ½⌋ to ⌊c + 2f + ½⌋ count: when an image shrinks, the filter widens with it
/// (antialiasing). The bytes between the two passes are rounded, too.    [Pillow, src/libImaging/Resample.c]

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/copy.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

namespace detail {

inline constexpr int resize_bits = 32 - 8 - 2;

/// The cubic of Keys with a = −0.5, in Pillow's own order of operations. The products are rounded by
/// themselves whatever the compiler would fuse: a last bit can become another byte.
inline double resize_cubic(double x) {
  const auto times = [](double a, double b) {
    const volatile double product = a * b;
    return product;
  };
  constexpr double a = -0.5;
  if (x < 0) x = -x;
  if (x < 1) return times(times(times(a + 2, x) - (a + 3), x), x) + 1;
  if (x < 2) return times(times(times(x - 5, x) + 8, x) - 4, a);
  return 0;
}

/// The coefficients of the outputs first … first + count − 1 of an axis that goes from `in` to `out`.
struct ResizeAxis {
  std::int64_t count = 0, width = 0;
  std::vector<std::int64_t> begin, taps;   // per output: the first input, and how many
  std::vector<std::int32_t> coefficients;  // (count, width)
  bool identity = false;

  ResizeAxis(std::int64_t in, std::int64_t out, std::int64_t first, std::int64_t outputs)
      : count(outputs), identity(in == out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double filter_scale = scale < 1 ? 1 : scale;
    const double support = 2 * filter_scale, inverse = 1 / filter_scale;
    width = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
    coefficients.assign(static_cast<std::size_t>(count * width), 0);
    std::vector<double> weights(static_cast<std::size_t>(width));
    for (std::int64_t i = 0; i < count; ++i) {
      const double center = (static_cast<double>(first + i) + 0.5) * scale;
      std::int64_t low = static_cast<std::int64_t>(center - support + 0.5);
      std::int64_t high = static_cast<std::int64_t>(center + support + 0.5);
      if (low < 0) low = 0;
      if (high > in) high = in;
      double sum = 0;
      for (std::int64_t x = 0; x < high - low; ++x) {
        const double w = resize_cubic((static_cast<double>(x + low) - center + 0.5) * inverse);
        weights[static_cast<std::size_t>(x)] = w;
        sum += w;
      }
      begin.push_back(low);
      taps.push_back(high - low);
      std::int32_t* k = coefficients.data() + i * width;
      for (std::int64_t x = 0; x < high - low; ++x) {
        double w = weights[static_cast<std::size_t>(x)];
        if (sum != 0) w /= sum;
        const double scaled = w * (1 << resize_bits);
        k[x] = static_cast<std::int32_t>(w < 0 ? scaled - 0.5 : scaled + 0.5);
      }
    }
  }
  const std::int32_t* row(std::int64_t i) const { return coefficients.data() + i * width; }
};

/// N bytes as integers, and integers of resize_bits bits after the point as bytes.
template <class V>
TANDEM_ALWAYS_INLINE V resize_widen(const void* from) {
  typename cpu::detail::RawVec<std::uint8_t, V::size>::type bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return V::from_raw(__builtin_convertvector(bytes, typename V::Raw));
}
template <class V>
TANDEM_ALWAYS_INLINE void resize_narrow(V sum, void* to) {
  using Bytes = typename cpu::detail::RawVec<std::uint8_t, V::size>::type;
  const V level = min(max(sum >> resize_bits, V(0)), V(255));
  const Bytes bytes = __builtin_convertvector(level.raw, Bytes);
  std::memcpy(to, &bytes, sizeof bytes);
}

/// Four rows of three-byte pixels become rows of `axis->count` pixels. A vector holds four lanes, one
/// of them idle, of each of size/4 rows. Every row of `from` has a readable byte after its end, every
/// row of `to` a writable one.
struct ResizeRows {
  static constexpr std::int64_t rows = 4;

  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const std::uint8_t* const* from, std::uint8_t* const* to,
                                       const ResizeAxis* axis) {
    constexpr int together = V::size / 4;
    for (std::int64_t x = 0; x < axis->count; ++x) {
      const std::int64_t begin = 3 * axis->begin[static_cast<std::size_t>(x)];
      const std::int64_t taps = axis->taps[static_cast<std::size_t>(x)];
      const std::int32_t* k = axis->row(x);
      for (int first = 0; first < rows; first += together) {
        unsigned char pixels[V::size];
        V sum(1 << (resize_bits - 1));
        for (std::int64_t i = 0; i < taps; ++i) {
          for (int r = 0; r < together; ++r) {
            std::memcpy(pixels + 4 * r, from[first + r] + begin + 3 * i, 4);
          }
          sum += resize_widen<V>(pixels) * V(k[i]);
        }
        resize_narrow(sum, pixels);
        for (int r = 0; r < together; ++r) std::memcpy(to[first + r] + 3 * x, pixels + 4 * r, 4);
      }
    }
  }
};

/// One output row from `taps` rows that lie `stride` apart: n bytes, of which the rows have at least
/// V::size more.
struct ResizeColumns {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const std::uint8_t* from, std::int64_t stride,
                                       const std::int32_t* k, std::int64_t taps, std::uint8_t* to,
                                       std::int64_t n) {
    constexpr std::int64_t N = V::size;
    std::int64_t j = 0;
    for (; j + 4 * N <= n; j += 4 * N) {
      V a(1 << (resize_bits - 1)), b(a), c(a), d(a);
      const std::uint8_t* p = from + j;
      for (std::int64_t i = 0; i < taps; ++i, p += stride) {
        const V w(k[i]);
        a += resize_widen<V>(p) * w;
        b += resize_widen<V>(p + N) * w;
        c += resize_widen<V>(p + 2 * N) * w;
        d += resize_widen<V>(p + 3 * N) * w;
      }
      resize_narrow(a, to + j);
      resize_narrow(b, to + j + N);
      resize_narrow(c, to + j + 2 * N);
      resize_narrow(d, to + j + 3 * N);
    }
    for (; j < n; j += N) {
      V sum(1 << (resize_bits - 1));
      const std::uint8_t* p = from + j;
      for (std::int64_t i = 0; i < taps; ++i, p += stride) sum += resize_widen<V>(p) * V(k[i]);
      unsigned char bytes[V::size];
      resize_narrow(sum, bytes);
      std::memcpy(to + j, bytes, static_cast<std::size_t>(n - j < N ? n - j : N));
    }
  }
};

/// Resizes one image (height, width, 3) and writes the part of the result that the two axes describe to
/// rows of `to`, `to_stride` bytes apart.
inline void resize_window(const std::uint8_t* image, std::int64_t height, std::int64_t width,
                          std::int64_t top, std::int64_t left, const ResizeAxis& rows,
                          const ResizeAxis& columns, std::uint8_t* to, std::int64_t to_stride) {
  if (rows.count == 0 || columns.count == 0) return;
  // Only the input rows that the window needs.
  const std::size_t last = static_cast<std::size_t>(rows.count - 1);
  const std::int64_t first_row = rows.identity ? top : rows.begin[0];
  const std::int64_t end_row = rows.identity ? top + rows.count : rows.begin[last] + rows.taps[last];
  const std::int64_t row_bytes = 3 * columns.count, slack = 64;  // as much as the widest vector reads
  const std::int64_t stride = (row_bytes + slack + 63) / 64 * 64;
  const Tensor<std::uint8_t> between(Shape{end_row - first_row, stride});
  std::uint8_t* middle = between.mutable_data();
  std::vector<std::uint8_t> last_line;
  if (!columns.identity) {
    last_line.assign(image + (height - 1) * width * 3, image + height * width * 3);
    last_line.push_back(0);
  }
  // A multiply-add per byte and tap; 20,000 of them are a few microseconds.
  const std::int64_t line_work = row_bytes * (columns.identity ? 1 : columns.width) / 4 + 1;
  constexpr std::int64_t most = ResizeRows::rows;
  const std::int64_t lines = end_row - first_row, groups = (lines + most - 1) / most;
  cpu::parallel_for(groups, 1 + 20000 / (most * line_work), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin * most; y < end * most && y < lines; y += most) {
      // A group that is not full computes its last row several times.
      const std::uint8_t* from[most];
      std::uint8_t* into[most];
      for (std::int64_t r = 0; r < most; ++r) {
        const std::int64_t line = y + r < lines ? y + r : lines - 1;
        from[r] = image + (first_row + line) * width * 3;
        into[r] = middle + line * stride;
        if (columns.identity) {
          std::memcpy(into[r], from[r] + 3 * left, static_cast<std::size_t>(row_bytes));
        } else if (first_row + line == height - 1) {
          from[r] = last_line.data();
        }
      }
      if (columns.identity) continue;
      cpu::simd_dispatch<ResizeRows, std::int32_t>(static_cast<const std::uint8_t* const*>(from),
                                                   static_cast<std::uint8_t* const*>(into), &columns);
    }
  });
  const std::int64_t out_work = row_bytes * (rows.identity ? 1 : rows.width) / 8 + 1;
  cpu::parallel_for(rows.count, 1 + 20000 / out_work, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin; y < end; ++y) {
      std::uint8_t* out = to + y * to_stride;
      if (rows.identity) {
        std::memcpy(out, middle + y * stride, static_cast<std::size_t>(row_bytes));
      } else {
        const std::size_t i = static_cast<std::size_t>(y);
        cpu::simd_dispatch<ResizeColumns, std::int32_t>(
            static_cast<const std::uint8_t*>(middle + (rows.begin[i] - first_row) * stride), stride,
            rows.row(y), rows.taps[i], out, row_bytes);
      }
    }
  });
}

/// The images of (H, W, 3) or (N, H, W, 3).
struct ImageBatch {
  Tensor<std::uint8_t> images;
  std::int64_t count, height, width;

  ImageBatch(std::string_view op, const Tensor<std::uint8_t>& given) {
    const int rank = given.rank();
    TANDEM_CHECK((rank == 3 || rank == 4) && given.size(-1) == 3 && given.device().is_cpu(), op,
                 "expected images (H, W, 3) or (N, H, W, 3) on the CPU, got ", given.shape());
    height = given.size(-3);
    width = given.size(-2);
    count = rank == 4 ? given.size(0) : 1;
    TANDEM_CHECK(height > 0 && width > 0, op, "the image ", given.shape(), " has no pixels");
    images = given.contiguous();
  }
  /// Calls f(i, image) for every image: many images on many threads, few ones after each other.
  template <class F>
  void for_each(F&& f) const {
    const std::uint8_t* first = images.data();
    const auto some = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) f(i, first + i * height * width * 3);
    };
    if (count >= cpu::num_threads()) {
      cpu::parallel_for(count, 1, some);
    } else {
      some(0, count);
    }
  }
};

}  // namespace detail

/// Pillow's resize to `height` rows of `width` pixels.
///   (H, W, 3) → (height, width, 3);  (N, H, W, 3) → (N, height, width, 3)
inline Tensor<std::uint8_t> resize_bicubic(const Tensor<std::uint8_t>& images, std::int64_t height,
                                           std::int64_t width) {
  const detail::ImageBatch batch("resize_bicubic", images);
  TANDEM_CHECK(height > 0 && width > 0, "resize_bicubic", "the new size must be at least 1 x 1, it is ",
               height, " x ", width);
  Shape shape{height, width, 3};
  if (images.rank() == 4) shape = {batch.count, height, width, 3};
  const Tensor<std::uint8_t> out(shape);
  std::uint8_t* to = out.mutable_data();
  const detail::ResizeAxis rows(batch.height, height, 0, height), columns(batch.width, width, 0, width);
  batch.for_each([&](std::int64_t i, const std::uint8_t* image) {
    detail::resize_window(image, batch.height, batch.width, 0, 0, rows, columns,
                          to + i * height * width * 3, width * 3);
  });
  return out;
}

}  // namespace clip
TANDEM_NAMESPACE_END
