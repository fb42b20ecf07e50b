/// resize — bicubic and bilinear resizing of bytes as Pillow does it
/// (include/tandem/image/resize.hpp): rows first, rounded to bytes, then columns. The same whole
/// numbers as the CPU's, so the same bytes.
///
/// A thread has a pixel of a pass's result and walks its taps; neighbours in a warp read almost the
/// same pixels. The first pass makes only the lines that the second one reads. Where nothing is
/// resized along an axis, its one tap has weight 1. Which pixels count and their weights come from
/// the host, a few KB. Colours are weighted by alpha as they are read, and divided by it at the
/// end. Reads the images' lines that are needed about once, the bytes between twice: bound by
/// memory for small pictures, by the whole multiplications (taps · channels a pixel) for those that
/// shrink much.

#include <vector>

#include "common.cuh"
#include "tandem/image/resize_axis.hpp"
#include "tandem/tensor/factory.hpp"

namespace tandem_kernels {

using tandem::io::detail::ResizeAxis;
using tandem::io::detail::ResizeJob;

/// An axis in device memory: of output i the first input, how many, and their weights.
struct ResizeTable {
  const std::int32_t *begin, *taps, *weights;
  std::int64_t count, width;
};

/// A sum with resize_bits bits after the point as a byte.
__device__ inline std::uint8_t resize_level(std::int32_t sum) {
  const std::int32_t level = sum >> tandem::io::detail::resize_bits;
  return static_cast<std::uint8_t>(level < 0 ? 0 : level > 255 ? 255 : level);
}

/// middle (count, lines, columns, Channels): lines first … first + lines − 1 of the images (count,
/// height, width, Channels), resized in their width.
template <int Channels>
__global__ void __launch_bounds__(256)
    resize_across_kernel(std::uint8_t* middle, const std::uint8_t* images, ResizeTable columns,
                         std::int64_t n, std::int64_t first, std::int64_t lines,
                         std::int64_t height, std::int64_t width, bool weighted) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const std::int64_t row = i / columns.count, x = i - row * columns.count;
    const std::int64_t picture = row / lines, line = first + row - picture * lines;
    const std::uint8_t* pixel =
        images + ((picture * height + line) * width + columns.begin[x]) * Channels;
    const std::int32_t* weight = columns.weights + x * columns.width;
    std::int32_t sum[Channels];
    for (int c = 0; c < Channels; ++c) sum[c] = tandem::io::detail::resize_half;
    const std::int32_t taps = columns.taps[x];
    for (std::int32_t t = 0; t < taps; ++t, pixel += Channels) {
      const std::int32_t w = weight[t];
      for (int c = 0; c < Channels; ++c) {
        std::int32_t level = pixel[c];
        if (Channels == 4 && c < 3 && weighted) {
          const std::int32_t product = level * pixel[Channels - 1] + 128;
          level = ((product >> 8) + product) >> 8;
        }
        sum[c] += level * w;
      }
    }
    for (int c = 0; c < Channels; ++c) middle[i * Channels + c] = resize_level(sum[c]);
  }
}

/// The result's pixels from the lines between.
template <int Channels>
__global__ void __launch_bounds__(256)
    resize_down_kernel(std::uint8_t* to, const std::uint8_t* middle, ResizeTable rows,
                       std::int64_t n, std::int64_t columns, std::int64_t first, std::int64_t lines,
                       std::int64_t picture_step, std::int64_t row_step, bool weighted) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const std::int64_t line = i / columns, x = i - line * columns;
    const std::int64_t picture = line / rows.count, y = line - picture * rows.count;
    const std::uint8_t* pixel =
        middle + ((picture * lines + rows.begin[y] - first) * columns + x) * Channels;
    const std::int32_t* weight = rows.weights + y * rows.width;
    std::int32_t sum[Channels];
    for (int c = 0; c < Channels; ++c) sum[c] = tandem::io::detail::resize_half;
    const std::int32_t taps = rows.taps[y];
    for (std::int32_t t = 0; t < taps; ++t, pixel += columns * Channels) {
      for (int c = 0; c < Channels; ++c) sum[c] += pixel[c] * weight[t];
    }
    std::uint8_t* const out = to + picture * picture_step + y * row_step + x * Channels;
    const unsigned alpha = resize_level(sum[Channels - 1]);
    for (int c = 0; c < Channels; ++c) {
      unsigned level = resize_level(sum[c]);
      if (Channels == 4 && c < 3 && weighted && alpha != 0 && alpha != 255) {
        level = 255u * level / alpha;
        if (level > 255u) level = 255u;
      }
      out[c] = static_cast<std::uint8_t>(level);
    }
  }
}

/// Appends an axis to `table`; `first` is where it begins where nothing is resized. Gives where it
/// is, as places in the table.
struct ResizePlace {
  std::size_t begin, taps, weights;
  std::int64_t count, width;
  ResizePlace(std::vector<std::int32_t>& table, const ResizeAxis& axis, std::int64_t first)
      : begin(table.size()),
        taps(begin + static_cast<std::size_t>(axis.count)),
        weights(taps + static_cast<std::size_t>(axis.count)),
        count(axis.count),
        width(axis.identity ? 1 : axis.width) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      table.push_back(static_cast<std::int32_t>(axis.identity ? first + i : axis.begin[at]));
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      table.push_back(static_cast<std::int32_t>(axis.identity ? 1 : axis.taps[at]));
    }
    if (axis.identity) {
      table.insert(table.end(), static_cast<std::size_t>(count),
                   1 << tandem::io::detail::resize_bits);
    } else {
      table.insert(table.end(), axis.coefficients.begin(), axis.coefficients.end());
    }
  }
  ResizeTable on(const std::int32_t* device_table) const {
    return {device_table + begin, device_table + taps, device_table + weights, count, width};
  }
};

template <int Channels>
void resize_channels(Queue& queue, std::uint8_t* to, const std::uint8_t* from,
                     const ResizeJob& job) {
  std::vector<std::int32_t> table;
  const ResizePlace down(table, job.rows, job.top), across(table, job.columns, job.left);
  const std::int64_t rows = down.count, columns = across.count;
  const tandem::Tensor<std::int32_t> there({static_cast<std::int64_t>(table.size())}, queue.device);
  there.copy_elements(tandem::from_vector<std::int32_t>(table));
  // The lines that the result needs: taps move on with their output.
  const auto last = static_cast<std::size_t>(rows - 1);
  const std::int64_t first = table[down.begin],
                     lines = table[down.begin + last] + table[down.taps + last] - first;
  const bool weighted = Channels == 4 && !job.identity();
  const std::int64_t between = job.count * lines * columns, n = job.count * rows * columns;
  const Scratch<std::uint8_t> middle(queue, between * Channels);
  launch("resize_across", resize_across_kernel<Channels>, dim3(blocks_for(between, 256)), dim3(256),
         0, queue, middle.data(), from, across.on(there.device_data()), between, first, lines,
         job.height, job.width, weighted);
  launch("resize_down", resize_down_kernel<Channels>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
         to, middle.data(), down.on(there.device_data()), n, columns, first, lines, job.step,
         job.stride, weighted);
}

template <class T>
void resize_images(Queue& queue, T* to, const T* from, const ResizeJob& job) {
  const tandem::QueueScope scope(queue);  // the table is made on it
  job.channels == 3 ? resize_channels<3>(queue, to, from, job)
                    : resize_channels<4>(queue, to, from, job);
}
TANDEM_KERNEL(resize_images, std::uint8_t);

}  // namespace tandem_kernels
