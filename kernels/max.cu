/// max, min, argmax, argmin — the largest or smallest element along the middle dimension of
/// (outer, n, inner), and its place;   dx = dy at that place, 0 elsewhere.
///
/// Of two elements the better one is taken: NaN before all numbers, then the lower place of equals.
/// This order is total, so values and places are the CPU's, however the elements are met. inner =
/// 1: a warp or a block goes through a row, or through a slice of a long one, and through the
/// slices' best afterwards; otherwise a thread has a column, whose neighbours lie beside it. Reads
/// x once: bound by memory. Backward writes every element of dx once.

#include "common.cuh"

namespace tandem_kernels {

using tandem::bfloat16;

/// What an element is compared and exchanged as between lanes.
template <class T>
using compared_t =
    std::conditional_t<std::is_integral_v<T>, std::conditional_t<(sizeof(T) < sizeof(int)), int, T>,
                       tandem::detail::compute_t<T>>;

/// An element and its place; place −1: none so far.
template <class C>
struct Candidate {
  C value;
  std::int64_t place;
};
template <int Sign, class C>
__device__ Candidate<C> better(const Candidate<C>& a, const Candidate<C>& b) {
  if (a.place < 0 || b.place < 0) return a.place < 0 ? b : a;
  const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
  if (nan_a != nan_b) return nan_a ? a : b;
  if (!nan_a && a.value != b.value) return (a.value > b.value) == (Sign > 0) ? a : b;
  return a.place < b.place ? a : b;
}
template <int Sign, class C>
__device__ Candidate<C> warp_best(Candidate<C> best) {
  for (int step = 16; step > 0; step /= 2) {
    const Candidate<C> other{__shfl_xor_sync(0xffffffffu, best.value, step),
                             __shfl_xor_sync(0xffffffffu, best.place, step)};
    best = better<Sign>(best, other);
  }
  return best;
}

/// Row r of x in `slices` pieces of slice_size: values and indices [r, piece]. Of the elements'
/// places, `places` if it is given. A warp has a piece (blocks of 32 × 4), or a block of 256 has.
template <int Sign, class T, bool block>
__global__ void __launch_bounds__(256)
    extremum_rows_kernel(T* values, std::int64_t* indices, const T* x, const std::int64_t* places,
                         std::int64_t rows, std::int64_t n, std::int64_t slices,
                         std::int64_t slice_size) {
  using C = compared_t<T>;
  TANDEM_SHARED(C, partial, 8);
  TANDEM_SHARED(std::int64_t, partial_place, 8);
  const std::int64_t first = block ? std::int64_t{blockIdx.x}
                                   : std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y,
                     step = block ? std::int64_t{gridDim.x} : std::int64_t{gridDim.x} * blockDim.y;
  for (std::int64_t piece = first; piece < rows * slices; piece += step) {
    const std::int64_t r = piece / slices, begin = (piece - r * slices) * slice_size,
                       end = begin + slice_size < n ? begin + slice_size : n;
    Candidate<C> best{C(0), -1};
    for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
      best = better<Sign>(best, Candidate<C>{static_cast<C>(x[r * n + i]), i});
    }
    best = warp_best<Sign>(best);
    if constexpr (block) {
      if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32] = best.value;
        partial_place[threadIdx.x / 32] = best.place;
      }
      __syncthreads();
      for (int w = 0; w < 8; ++w)
        best = better<Sign>(best, Candidate<C>{partial[w], partial_place[w]});
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      values[piece] = x[r * n + best.place];
      indices[piece] = places != nullptr ? places[r * n + best.place] : best.place;
    }
  }
}

template <int Sign, class T>
__global__ void extremum_columns_kernel(T* values, std::int64_t* indices, const T* x,
                                        std::int64_t outer, std::int64_t n, std::int64_t inner) {
  using C = compared_t<T>;
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * inner;
       c += step) {
    const T* const from = x + c / inner * n * inner + c % inner;
    Candidate<C> best{static_cast<C>(from[0]), 0};
    for (std::int64_t i = 1; i < n; ++i)
      best = better<Sign>(best, Candidate<C>{static_cast<C>(from[i * inner]), i});
    values[c] = from[best.place * inner];
    indices[c] = best.place;
  }
}

template <class T>
__global__ void extremum_backward_kernel(T* dx, const T* dy, const std::int64_t* indices,
                                         std::int64_t count, std::int64_t n, std::int64_t inner) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < count; e += step) {
    const std::int64_t row = e / inner, o = row / n, column = o * inner + (e - row * inner);
    dx[e] = indices[column] == row - o * n ? dy[column] : T(tandem::detail::compute_t<T>(0));
  }
}

template <int Sign, class T>
void extremum_of(Queue& queue, T* values, std::int64_t* indices, const T* x, std::int64_t outer,
                 std::int64_t n, std::int64_t inner) {
  if (inner != 1) {
    return launch("extremum", extremum_columns_kernel<Sign, T>,
                  dim3(blocks_for(outer * inner, 128)), dim3(128), 0, queue, values, indices, x,
                  outer, n, inner);
  }
  const std::int64_t wanted = outer < 512 ? (512 + outer - 1) / (outer > 0 ? outer : 1) : 1,
                     most = (n + 4095) / 4096;
  const std::int64_t slices = wanted < most ? wanted : most, slice_size = (n + slices - 1) / slices;
  const auto start = [&]<bool block>(T* v, std::int64_t* at, const T* from,
                                     const std::int64_t* places, std::int64_t size,
                                     std::int64_t pieces, std::int64_t piece_size) {
    launch("extremum", extremum_rows_kernel<Sign, T, block>,
           dim3(blocks_for(outer * pieces, block ? 1 : 4)), block ? dim3(256) : dim3(32, 4), 0,
           queue, v, at, from, places, outer, size, pieces, piece_size);
  };
  if (slices == 1) {
    if (n > 256) return start.template operator()<true>(values, indices, x, nullptr, n, 1, n);
    return start.template operator()<false>(values, indices, x, nullptr, n, 1, n);
  }
  const Scratch<T> best(queue, outer * slices);
  const Scratch<std::int64_t> places(queue, outer * slices);
  // Places in a slice are those in the row: the kernel counts from the row's beginning.
  start.template operator()<true>(best.data(), places.data(), x, nullptr, n, slices, slice_size);
  start.template operator()<false>(values, indices, best.data(), places.data(), slices, 1, slices);
}

template <class T>
void max_forward(Queue& queue, T* values, std::int64_t* indices, const T* x, std::int64_t outer,
                 std::int64_t n, std::int64_t inner) {
  extremum_of<1>(queue, values, indices, x, outer, n, inner);
}
template <class T>
void min_forward(Queue& queue, T* values, std::int64_t* indices, const T* x, std::int64_t outer,
                 std::int64_t n, std::int64_t inner) {
  extremum_of<-1>(queue, values, indices, x, outer, n, inner);
}
template <class T>
void extremum_backward(Queue& queue, T* dx, const T* dy, const std::int64_t* indices,
                       std::int64_t outer, std::int64_t n, std::int64_t inner) {
  launch("extremum_backward", extremum_backward_kernel<T>, dim3(blocks_for(outer * n * inner, 256)),
         dim3(256), 0, queue, dx, dy, indices, outer * n * inner, n, inner);
}
TANDEM_KERNEL(max_forward, float, double, bfloat16, std::int64_t, std::int32_t, std::uint8_t);
TANDEM_KERNEL(min_forward, float, double, bfloat16, std::int64_t, std::int32_t, std::uint8_t);
TANDEM_KERNEL(extremum_backward, float, double, bfloat16);

}  // namespace tandem_kernels
