#pragma once
/// Sums over the channels of a tensor (outer, channels, inner), and what is done to each of its
/// elements with numbers of its channel: batch_norm, the bias of conv3d.
///
/// Sums: a block adds a slice of a channel, the slices are added in their order; where channels are
/// the last dimension, neighbouring threads take neighbouring channels (columns() of reduce.cuh). A
/// fixed order, without atomics. Elements are found by stepping, not by dividing each index.
/// Every operand is read once: bound by memory.

#include "reduce.cuh"

namespace tandem_kernels {

/// parts[slice, m, c] = Σ f(at, c)[m] over the elements of a slice of channel c, `at` their places.
template <class T, int M, class F>
__global__ void __launch_bounds__(256)
    channel_parts_kernel(F f, T* parts, std::int64_t channels, std::int64_t count,
                         std::int64_t inner, std::int64_t slices, std::int64_t slice_size) {
  TANDEM_SHARED(T, partial, 32);
  const std::int64_t down = blockDim.x / inner, across = blockDim.x % inner;
  for (std::int64_t piece = blockIdx.x; piece < channels * slices; piece += gridDim.x) {
    const std::int64_t slice = piece / channels, c = piece - slice * channels,
                       begin = slice * slice_size,
                       end = begin + slice_size < count ? begin + slice_size : count;
    T sum[M] = {};
    std::int64_t i = begin + threadIdx.x, o = i / inner, k = i - o * inner;
    for (; i < end; i += blockDim.x) {
      T x[M];
      f((o * channels + c) * inner + k, c, x);
      for (int m = 0; m < M; ++m) sum[m] += x[m];
      o += down;
      k += across;
      if (k >= inner) {
        k -= inner;
        ++o;
      }
    }
    for (int m = 0; m < M; ++m) {
      const T total = block_sum(sum[m], partial);
      if (threadIdx.x == 0) parts[(slice * M + m) * channels + c] = total;
    }
  }
}

/// The elements themselves, as summands.
template <class T>
struct ChannelElement {
  const T* x;
  __device__ void operator()(std::int64_t at, std::int64_t, T (&out)[1]) const { out[0] = x[at]; }
};

/// f as columns() asks it, for channels that are the last dimension.
template <class T, int M, class F>
struct ChannelColumn {
  F f;
  std::int64_t channels;
  __device__ void operator()(std::int64_t row, std::int64_t column, T (&out)[M]) const {
    f(row * channels + column, column, out);
  }
};

/// Queues to[m, c] = Σ f(at, c)[m] over the elements of channel c; to has M·channels elements. The
/// number of slices depends on the sizes only.
template <class T, int M, class F>
void channel_sums(Queue& queue, const F& f, T* to, std::int64_t outer, std::int64_t channels,
                  std::int64_t inner) {
  if (channels == 0) return;
  if (inner == 1) {
    return columns<T, M>(queue, ChannelColumn<T, M, F>{f, channels}, to, outer, channels);
  }
  const std::int64_t count = outer * inner, wanted = (512 + channels - 1) / channels,
                     most = (count + 4095) / 4096;
  const std::int64_t slices = wanted < most ? wanted : most > 0 ? most : 1;
  const std::int64_t slice_size = (count + slices - 1) / slices;
  const Scratch<T> parts(queue, slices > 1 ? slices * M * channels : 0);
  T* const sums = slices > 1 ? parts.data() : to;
  launch("channel_parts", channel_parts_kernel<T, M, F>, dim3(blocks_for(channels * slices, 1)),
         dim3(256), 0, queue, f, sums, channels, count, inner > 0 ? inner : 1, slices, slice_size);
  if (slices > 1) {
    launch("add_slices", add_slices_kernel<T>, dim3(blocks_for(M * channels, 256)), dim3(256), 0,
           queue, to, sums, slices, M * channels);
  }
}

/// to[i] = f(i, c) for every element i, c its channel.
template <class T, class F>
__global__ void __launch_bounds__(256)
    channel_map_kernel(F f, T* to, std::int64_t n, std::int64_t channels, std::int64_t inner) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x, down = step / inner % channels,
                     across = step % inner;
  std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x, c = i / inner % channels,
               k = i % inner;
  for (; i < n; i += step) {
    to[i] = f(i, c);
    k += across;
    c += down;
    if (k >= inner) {
      k -= inner;
      ++c;
    }
    if (c >= channels) c -= channels;
  }
}
template <class T, class F>
void channel_map(Queue& queue, const F& f, T* to, std::int64_t outer, std::int64_t channels,
                 std::int64_t inner) {
  const std::int64_t n = outer * channels * inner;
  launch("channel_map", channel_map_kernel<T, F>, dim3(blocks_for(n, 256)), dim3(256), 0, queue, f,
         to, n, channels, inner);
}

}  // namespace tandem_kernels
