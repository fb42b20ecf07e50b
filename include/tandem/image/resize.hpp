#pragma once
/// Bicubic and bilinear resizing of 8-bit images, byte for byte as Pillow's Image.resize(size,
/// BICUBIC) and (size, BILINEAR) do it.
///
///   out[x] = clip8(⌊(2²¹ + Σᵢ in[first(x) + i] · k(x, i)) / 2²²⌋)     first along rows, then
///   columns k(x, i) = w(x, i) / Σⱼ w(x, j), rounded to 22 bits after the point
///   w(x, i) = filter((first(x) + i + ½ − c) / f),  c = (x + ½)·s,  s = in / out,  f = max(s, 1)
///   bicubic:  1.5|t|³ − 2.5|t|² + 1 for |t| < 1,  −0.5|t|³ + 2.5|t|² − 4|t| + 2 for |t| < r = 2,
///   else 0 bilinear: 1 − |t| for |t| < r = 1, else 0
/// Pixels from ⌊c − r·f + ½⌋ to ⌊c + r·f + ½⌋ count: when an image shrinks, the filter widens with
/// it (antialiasing). The bytes between the two passes are rounded, too, so their order matters:
/// this is that of Pillow up to 12; Pillow 13.0.0 does columns first for some sizes that shrink
/// more in height than in
/// width, and then gives other bytes.    [Pillow, src/libImaging/Resample.c]

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/image/resize_axis.hpp"
#include "tandem/tensor/copy.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {
namespace detail {

/// Byte c of every lane, and a sum with resize_bits bits after the point as the byte c of every
/// lane. Four bytes are kept in one lane, because compilers widen bytes one by one.
template <int c, class V>
TANDEM_ALWAYS_INLINE V resize_byte(V words) {
  return (words >> (8 * c)) & V(255);
}
template <int c, class V>
TANDEM_ALWAYS_INLINE V resize_level(V sum) {
  return min(max(sum >> resize_bits, V(0)), V(255)) << (8 * c);
}

/// Sixteen rows of pixels of Channels bytes become rows of `axis->count` pixels. A lane is a row,
/// and holds a pixel: `words` (pixels that are needed, lanes) is where they are put side by side
/// first. Of the rows `from` one byte after the end may be read, of `to` written.
template <int Channels>
struct ResizeRows {
  static constexpr std::int64_t rows = 16;

  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const std::uint8_t* const* from, std::uint8_t* const* to,
                                       const ResizeAxis* axis, std::int32_t* words) {
    constexpr std::int64_t N = V::size;
    const std::size_t last = static_cast<std::size_t>(axis->count - 1);
    const std::int64_t first = axis->begin[0],
                       needed = axis->begin[last] + axis->taps[last] - first;
    for (std::int64_t row = 0; row < rows; row += N) {
      for (std::int64_t x = 0; x < needed; ++x) {
        for (std::int64_t r = 0; r < N; ++r) {
          std::memcpy(words + x * N + r, from[row + r] + Channels * (first + x), 4);
        }
      }
      for (std::int64_t x = 0; x < axis->count; ++x) {
        const std::size_t i = static_cast<std::size_t>(x);
        const std::int32_t* pixel = words + (axis->begin[i] - first) * N;
        const std::int32_t* k = axis->row(x);
        V a(resize_half), b(a), c(a), d(a);
        for (std::int64_t tap = 0; tap < axis->taps[i]; ++tap, pixel += N) {
          const V p = V::load(pixel), w(k[tap]);
          a += resize_byte<0>(p) * w;
          b += resize_byte<1>(p) * w;
          c += resize_byte<2>(p) * w;
          if constexpr (Channels == 4) d += resize_byte<3>(p) * w;
        }
        V out = resize_level<0>(a) | resize_level<1>(b) | resize_level<2>(c);
        if constexpr (Channels == 4) out = out | resize_level<3>(d);
        std::int32_t pixels[V::size];
        out.store(pixels);
        for (std::int64_t r = 0; r < N; ++r) std::memcpy(to[row + r] + Channels * x, pixels + r, 4);
      }
    }
  }
};

/// One output row of n bytes from `taps` rows that lie `stride` apart, and that may be read up to a
/// vector beyond their ends.
struct ResizeColumns {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const std::uint8_t* from, std::int64_t stride,
                                       const std::int32_t* k, std::int64_t taps, std::uint8_t* to,
                                       std::int64_t n) {
    constexpr std::int64_t bytes = 4 * V::size;
    for (std::int64_t j = 0; j < n; j += bytes) {
      V a(resize_half), b(a), c(a), d(a);
      const std::uint8_t* p = from + j;
      for (std::int64_t tap = 0; tap < taps; ++tap, p += stride) {
        V words;
        std::memcpy(&words.raw, p, sizeof words.raw);
        const V w(k[tap]);
        a += resize_byte<0>(words) * w;
        b += resize_byte<1>(words) * w;
        c += resize_byte<2>(words) * w;
        d += resize_byte<3>(words) * w;
      }
      const V out =
          (resize_level<0>(a) | resize_level<1>(b)) | (resize_level<2>(c) | resize_level<3>(d));
      if (j + bytes <= n) {
        std::memcpy(to + j, &out.raw, sizeof out.raw);
      } else {
        std::uint8_t rest[sizeof out.raw];
        std::memcpy(rest, &out.raw, sizeof rest);
        std::memcpy(to + j, rest, static_cast<std::size_t>(n - j));
      }
    }
  }
};

/// Resizes the images of a job, one by one.
class Resizer {
 public:
  explicit Resizer(const ResizeJob& job)
      : height_(job.height),
        row_(job.width * job.channels),
        channels_(job.channels),
        rows_(job.rows),
        columns_(job.columns),
        top_(job.top),
        left_(job.left) {}

  /// One image to rows that are `to_stride` bytes apart.
  void run(const std::uint8_t* image, std::uint8_t* to, std::int64_t to_stride) const {
    // Only the input rows that the output needs.
    const std::size_t last = static_cast<std::size_t>(rows_.count - 1);
    const std::int64_t first_row = rows_.identity ? top_ : rows_.begin[0];
    const std::int64_t end_row =
        rows_.identity ? top_ + rows_.count : rows_.begin[last] + rows_.taps[last];
    const std::int64_t bytes = channels_ * columns_.count;
    // A vector of 64 bytes may be read at the end
    const std::int64_t stride = (bytes + 64 + 63) / 64 * 64;
    const Tensor<std::uint8_t> between(Shape{end_row - first_row, stride});
    std::uint8_t* middle = between.mutable_data();
    across(image, first_row, end_row, middle, stride, bytes);

    const std::int64_t work = bytes * (rows_.identity ? 1 : rows_.width) / 8 + 1;
    cpu::parallel_for(rows_.count, 1 + kGrain / work, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) {
        std::uint8_t* out = to + y * to_stride;
        if (rows_.identity) {
          std::memcpy(out, middle + y * stride, static_cast<std::size_t>(bytes));
        } else {
          const std::size_t i = static_cast<std::size_t>(y);
          cpu::simd_dispatch<ResizeColumns, std::int32_t>(
              static_cast<const std::uint8_t*>(middle + (rows_.begin[i] - first_row) * stride),
              stride, rows_.row(y), rows_.taps[i], out, bytes);
        }
      }
    });
  }

 private:
  static constexpr std::int64_t kGrain = 20000;  // multiply-adds of vectors: about 10 µs

  /// The first pass: rows [first, end) of the image, resized in their width, to `middle`.
  void across(const std::uint8_t* image, std::int64_t first, std::int64_t end_row,
              std::uint8_t* middle, std::int64_t stride, std::int64_t bytes) const {
    // The last row of the image is read from a copy that has a byte after it.
    std::vector<std::uint8_t> copy(image + (height_ - 1) * row_, image + height_ * row_);
    copy.push_back(0);
    constexpr std::int64_t most = ResizeRows<3>::rows;
    const std::int64_t lines = end_row - first, groups = (lines + most - 1) / most;
    const std::int64_t width = row_ / channels_;
    const std::int64_t work = columns_.count * (columns_.identity ? 1 : 4 * columns_.width) + width;
    cpu::parallel_for(groups, 1 + kGrain / work, [&](std::int64_t begin, std::int64_t end) {
      const Tensor<std::int32_t> words(Shape{columns_.identity ? 0 : width * most});
      for (std::int64_t y = begin * most; y < end * most && y < lines; y += most) {
        // A group that is not full computes its last row several times.
        const std::uint8_t* from[most];
        std::uint8_t* into[most];
        for (std::int64_t r = 0; r < most; ++r) {
          const std::int64_t line = y + r < lines ? y + r : lines - 1;
          from[r] = first + line == height_ - 1 ? copy.data() : image + (first + line) * row_;
          into[r] = middle + line * stride;
          if (columns_.identity) {
            std::memcpy(into[r], from[r] + channels_ * left_, static_cast<std::size_t>(bytes));
          }
        }
        if (columns_.identity) continue;
        const std::uint8_t* const* in = from;
        std::uint8_t* const* out = into;
        if (channels_ == 3) {
          cpu::simd_dispatch<ResizeRows<3>, std::int32_t>(in, out, &columns_, words.mutable_data());
        } else {
          cpu::simd_dispatch<ResizeRows<4>, std::int32_t>(in, out, &columns_, words.mutable_data());
        }
      }
    });
  }

  std::int64_t height_, row_, channels_;
  const ResizeAxis &rows_, &columns_;
  std::int64_t top_, left_;
};

/// Colours times alpha, as Pillow resizes them: round(c·a / 255); and back, ⌊255·c / a⌋, at most
/// 255.
inline void premultiply(const std::uint8_t* from, std::uint8_t* to, std::int64_t pixels) {
  for (std::int64_t i = 0; i < pixels; ++i, from += 4, to += 4) {
    const unsigned alpha = from[3];
    for (int c = 0; c < 3; ++c) {
      const unsigned product = from[c] * alpha + 128;
      to[c] = static_cast<std::uint8_t>(((product >> 8) + product) >> 8);
    }
    to[3] = from[3];
  }
}
inline void unpremultiply(std::uint8_t* p, std::int64_t pixels) {
  for (std::int64_t i = 0; i < pixels; ++i, p += 4) {
    const unsigned alpha = p[3];
    if (alpha == 0 || alpha == 255) continue;
    for (int c = 0; c < 3; ++c) {
      const unsigned level = 255u * p[c] / alpha;
      p[c] = static_cast<std::uint8_t>(level < 255 ? level : 255);
    }
  }
}

inline void resize_on_cpu(std::uint8_t* to, const std::uint8_t* from, const ResizeJob& job) {
  const Resizer resizer(job);
  const std::int64_t pixels = job.height * job.width;
  const auto some = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint8_t* image = from + i * pixels * job.channels;
      if (job.channels == 3 || job.identity()) {
        resizer.run(image, to + i * job.step, job.stride);
        continue;
      }
      const Tensor<std::uint8_t> weighted(Shape{pixels, 4});
      std::uint8_t* data = weighted.mutable_data();
      premultiply(image, data, pixels);
      resizer.run(data, to + i * job.step, job.stride);
      for (std::int64_t y = 0; y < job.rows.count; ++y)
        unpremultiply(to + i * job.step + y * job.stride, job.columns.count);
    }
  };
  // Many images on many threads; of few, the rows of each.
  if (job.count >= cpu::num_threads()) {
    cpu::parallel_for(job.count, 1, some);
  } else {
    some(0, job.count);
  }
}
inline const Kernel<void(Queue&, std::uint8_t* to, const std::uint8_t* from, const ResizeJob& job)>
    resize_images{"resize_images", resize_on_cpu};

/// The images of (H, W, C) or (N, H, W, C), C = 3 or 4.
struct ImageBatch {
  Tensor<std::uint8_t> images;
  std::int64_t count, height, width, channels;

  ImageBatch(std::string_view op, const Tensor<std::uint8_t>& given) {
    const int rank = given.rank();
    TANDEM_CHECK((rank == 3 || rank == 4) && (given.size(-1) == 3 || given.size(-1) == 4), op,
                 "expected images (H, W, 3) or (N, H, W, 3), or of 4 channels, got ",
                 given.shape());
    TANDEM_CHECK(resize_images.runs_on(given.device()), op,
                 "has no CUDA kernel (the images are on ", given.device(), ")");
    height = given.size(-3);
    width = given.size(-2);
    channels = given.size(-1);
    count = rank == 4 ? given.size(0) : 1;
    TANDEM_CHECK(height > 0 && width > 0, op, "the images ", given.shape(), " have no pixels");
    images = given.contiguous();
  }
  /// Resizes all of them along both axes into `to`, `place` bytes behind its beginning (ResizeJob
  /// has the rest).
  void resize(ResizeAxis rows, ResizeAxis columns, std::int64_t top, std::int64_t left,
              const Tensor<std::uint8_t>& to, std::int64_t place, std::int64_t step,
              std::int64_t stride) const {
    if (count == 0 || rows.count == 0 || columns.count == 0) return;
    resize_images(images.device(), to.mutable_device_data() + place, images.device_data(),
                  ResizeJob{.height = height,
                            .width = width,
                            .channels = channels,
                            .rows = std::move(rows),
                            .columns = std::move(columns),
                            .top = top,
                            .left = left,
                            .count = count,
                            .step = step,
                            .stride = stride});
  }
  /// The shape of the batch with other sizes.
  Shape shape(std::int64_t rows, std::int64_t columns, std::int64_t depth) const {
    if (images.rank() == 4) return {count, rows, columns, depth};
    return {rows, columns, depth};
  }
};

}  // namespace detail

/// Pillow's resize to `height` rows of `width` pixels. Pixels of four bytes are red, green, blue
/// and alpha: as in Pillow, colours are weighted by alpha.
///   (H, W, C) → (height, width, C);  (N, H, W, C) → (N, height, width, C);  C = 3 or 4
/// On the device of the images, with the same bytes.
inline Tensor<std::uint8_t> resize(const Tensor<std::uint8_t>& images, std::int64_t height,
                                   std::int64_t width, ResizeFilter filter) {
  const char* const op = filter == ResizeFilter::bicubic ? "resize_bicubic" : "resize_bilinear";
  const detail::ImageBatch batch(op, images);
  TANDEM_CHECK(height > 0 && width > 0, op, "the new size must be at least 1 x 1, it is ", height,
               " x ", width);
  const Tensor<std::uint8_t> out(batch.shape(height, width, batch.channels), images.device());
  batch.resize(detail::ResizeAxis(batch.height, height, 0, height, filter),
               detail::ResizeAxis(batch.width, width, 0, width, filter), 0, 0, out, 0,
               height * width * batch.channels, width * batch.channels);
  return out;
}
inline Tensor<std::uint8_t> resize_bicubic(const Tensor<std::uint8_t>& images, std::int64_t height,
                                           std::int64_t width) {
  return resize(images, height, width, ResizeFilter::bicubic);
}
inline Tensor<std::uint8_t> resize_bilinear(const Tensor<std::uint8_t>& images, std::int64_t height,
                                            std::int64_t width) {
  return resize(images, height, width, ResizeFilter::bilinear);
}

}  // namespace io
TANDEM_NAMESPACE_END
