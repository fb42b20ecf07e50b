/// cumsum — yᵢ = Σ_{j ≤ i} xⱼ along the middle dimension of (outer, n, inner), or Σ_{j ≥ i} xⱼ,
/// which is the gradient.
///
/// Sums of floats are kept in double, as on the CPU; integers wrap. inner = 1: a warp or a block
/// goes through a row, 32 or 256 elements at a time: a scan of each warp by shuffles, of the warps'
/// sums, and what came before. Otherwise a thread has a column, whose neighbours lie beside it, and
/// adds as the CPU does. Reads and writes every element once; many rows are bound by memory, a
/// single long one by the steps from tile to tile.

#include "common.cuh"

namespace tandem_kernels {

using tandem::bfloat16;
using tandem::detail::compute_t;

/// What T is added up in.
template <class T>
using running_t = std::conditional_t<std::is_integral_v<T>, std::uint64_t, double>;

template <class T, class Part, bool block>
__global__ void __launch_bounds__(256)
    cumsum_rows_kernel(T* y, const T* x, std::int64_t rows, std::int64_t n, bool from_end) {
  TANDEM_SHARED(Part, totals, 8);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const std::int64_t first = block ? std::int64_t{blockIdx.x}
                                   : std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y,
                     step = block ? std::int64_t{gridDim.x} : std::int64_t{gridDim.x} * blockDim.y;
  for (std::int64_t r = first; r < rows; r += step) {
    Part before = 0;
    for (std::int64_t tile = 0; tile < n; tile += blockDim.x) {
      const std::int64_t i = tile + threadIdx.x, at = r * n + (from_end ? n - 1 - i : i);
      Part sum = i < n ? static_cast<Part>(static_cast<compute_t<T>>(x[at])) : Part(0);
      for (int reach = 1; reach < 32; reach *= 2) {
        const Part lower = __shfl_up_sync(0xffffffffu, sum, reach);
        if (lane >= reach) sum += lower;
      }
      Part total = __shfl_sync(0xffffffffu, sum, 31);
      if constexpr (block) {
        if (lane == 0) totals[warp] = total;
        __syncthreads();
        Part offset = 0;
        total = 0;
        for (int w = 0; w < 8; ++w) {
          if (w == warp) offset = total;
          total += totals[w];
        }
        sum += offset;
        __syncthreads();
      }
      if (i < n) y[at] = static_cast<T>(static_cast<compute_t<T>>(before + sum));
      before += total;
    }
  }
}

template <class T, class Part>
__global__ void cumsum_columns_kernel(T* y, const T* x, std::int64_t outer, std::int64_t n,
                                      std::int64_t inner, bool from_end) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * inner;
       c += step) {
    const std::int64_t first = c / inner * n * inner + c % inner;
    Part sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t at = first + (from_end ? n - 1 - i : i) * inner;
      sum += static_cast<Part>(static_cast<compute_t<T>>(x[at]));
      y[at] = static_cast<T>(static_cast<compute_t<T>>(sum));
    }
  }
}

template <class T>
void cumsum_along(Queue& queue, T* y, const T* x, std::int64_t outer, std::int64_t n,
                  std::int64_t inner, bool from_end) {
  using Part = running_t<T>;
  if (inner != 1) {
    launch("cumsum", cumsum_columns_kernel<T, Part>, dim3(blocks_for(outer * inner, 128)),
           dim3(128), 0, queue, y, x, outer, n, inner, from_end);
  } else if (n > 128) {
    launch("cumsum", cumsum_rows_kernel<T, Part, true>, dim3(blocks_for(outer, 1)), dim3(256), 0,
           queue, y, x, outer, n, from_end);
  } else {
    launch("cumsum", cumsum_rows_kernel<T, Part, false>, dim3(blocks_for(outer, 4)), dim3(32, 4), 0,
           queue, y, x, outer, n, from_end);
  }
}
TANDEM_KERNEL(cumsum_along, float, double, bfloat16, std::int64_t, std::int32_t, std::uint8_t);

}  // namespace tandem_kernels
