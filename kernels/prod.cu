/// prod — the products along the middle dimension of (outer, n, inner);  dxᵢ = dy·Π_{j ≠ i} xⱼ.
///
/// inner = 1: a warp goes through a row, 32 elements at a time, and multiplies by a butterfly, or
/// for the gradient by a scan from each end. Otherwise a thread has a column, whose neighbours lie
/// beside it. Reads and writes every element once, dx twice: bound by memory where there are many
/// rows.

#include "common.cuh"

namespace tandem_kernels {

/// What T is multiplied in: integers wrap around.
template <class T>
using factor_t = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;

template <class T>
__global__ void prod_rows_kernel(T* y, const T* x, std::int64_t rows, std::int64_t n) {
  using Part = factor_t<T>;
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.y;
  for (std::int64_t r = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y; r < rows; r += step) {
    Part product = 1;
    for (std::int64_t i = threadIdx.x; i < n; i += 32) product *= static_cast<Part>(x[r * n + i]);
    for (int reach = 16; reach > 0; reach /= 2) {
      product *= __shfl_xor_sync(0xffffffffu, product, reach);
    }
    if (threadIdx.x == 0) y[r] = static_cast<T>(product);
  }
}

template <class T>
__global__ void prod_columns_kernel(T* y, const T* x, std::int64_t columns, std::int64_t n,
                                    std::int64_t inner) {
  using Part = factor_t<T>;
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < columns;
       c += step) {
    const std::int64_t first = c / inner * n * inner + c % inner;
    Part product = 1;
    for (std::int64_t i = 0; i < n; ++i) product *= static_cast<Part>(x[first + i * inner]);
    y[c] = static_cast<T>(product);
  }
}

/// The product of the values of the lanes before this one (or, from_end, behind it); `all` gets
/// that of the warp.
template <class T>
__device__ T others_of_warp(T value, bool from_end, T& all) {
  const int lane = threadIdx.x;
  T product = value;
  for (int reach = 1; reach < 32; reach *= 2) {
    const T other = from_end ? __shfl_down_sync(0xffffffffu, product, reach)
                             : __shfl_up_sync(0xffffffffu, product, reach);
    if (from_end ? lane + reach < 32 : lane >= reach) product *= other;
  }
  all = __shfl_sync(0xffffffffu, product, from_end ? 0 : 31);
  const T before = from_end ? __shfl_down_sync(0xffffffffu, product, 1)
                            : __shfl_up_sync(0xffffffffu, product, 1);
  return lane == (from_end ? 31 : 0) ? T(1) : before;
}

/// Counts zeros; 2⁴⁸ stands for what is not finite, which no count of zeros reaches.
template <class T>
__device__ std::uint64_t zero_or_worse(T value) {
  return value == 0 ? 1u : value - value == 0 ? 0u : std::uint64_t{1} << 48;
}
/// Whether a 0 among the others makes dx 0, whatever overflows: all is finite, and there are two or
/// one elsewhere.
template <class T>
__device__ bool others_vanish(std::uint64_t zeros, T value) {
  return zeros < std::uint64_t{1} << 48 && (zeros > 1 || (zeros == 1 && !(value == 0)));
}

template <class T>
__global__ void prod_rows_backward_kernel(T* dx, const T* dy, const T* x, std::int64_t rows,
                                          std::int64_t n) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.y, tiles = (n + 31) / 32;
  for (std::int64_t r = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y; r < rows; r += step) {
    T before = dy[r], behind = 1, all;
    std::uint64_t zeros = before - before == 0 ? 0u : std::uint64_t{1} << 48;  // 2⁵³ of 32 lanes
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t i = tile * 32 + threadIdx.x;
      const T value = i < n ? x[r * n + i] : T(1);
      zeros += zero_or_worse(value);
      const T others = others_of_warp(value, false, all);
      if (i < n) dx[r * n + i] = before * others;
      before *= all;
    }
    for (int reach = 16; reach > 0; reach /= 2) zeros += __shfl_xor_sync(0xffffffffu, zeros, reach);
    for (std::int64_t tile = tiles - 1; tile >= 0; --tile) {
      const std::int64_t i = tile * 32 + threadIdx.x;
      const T value = i < n ? x[r * n + i] : T(1);
      const T others = others_of_warp(value, true, all);
      if (i < n) {  // dx, which this thread has written itself
        const T product = dx[r * n + i] * (others * behind);
        dx[r * n + i] = others_vanish(zeros, value) ? T(0) : product;
      }
      behind *= all;
    }
  }
}

template <class T>
__global__ void prod_columns_backward_kernel(T* dx, const T* dy, const T* x, std::int64_t columns,
                                             std::int64_t n, std::int64_t inner) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < columns;
       c += step) {
    const std::int64_t first = c / inner * n * inner + c % inner;
    T before = dy[c], behind = 1;
    std::uint64_t zeros = before - before == 0 ? 0u : std::uint64_t{1} << 48;
    for (std::int64_t i = 0; i < n; ++i) {
      const T value = x[first + i * inner];
      dx[first + i * inner] = before;
      before *= value;
      zeros += zero_or_worse(value);
    }
    for (std::int64_t i = n - 1; i >= 0; --i) {
      const T value = x[first + i * inner], product = dx[first + i * inner] * behind;
      dx[first + i * inner] = others_vanish(zeros, value) ? T(0) : product;
      behind *= value;
    }
  }
}

template <class T>
void prod_forward(Queue& queue, T* y, const T* x, std::int64_t outer, std::int64_t n,
                  std::int64_t inner) {
  if (inner == 1) {
    launch("prod", prod_rows_kernel<T>, dim3(blocks_for(outer, 4)), dim3(32, 4), 0, queue, y, x,
           outer, n);
  } else {
    launch("prod", prod_columns_kernel<T>, dim3(blocks_for(outer * inner, 128)), dim3(128), 0,
           queue, y, x, outer * inner, n, inner);
  }
}
template <class T>
void prod_backward(Queue& queue, T* dx, const T* dy, const T* x, std::int64_t outer, std::int64_t n,
                   std::int64_t inner) {
  if (inner == 1) {
    launch("prod_backward", prod_rows_backward_kernel<T>, dim3(blocks_for(outer, 4)), dim3(32, 4),
           0, queue, dx, dy, x, outer, n);
  } else {
    launch("prod_backward", prod_columns_backward_kernel<T>, dim3(blocks_for(outer * inner, 128)),
           dim3(128), 0, queue, dx, dy, x, outer * inner, n, inner);
  }
}
TANDEM_KERNEL(prod_forward, float, double, std::int64_t);
TANDEM_KERNEL(prod_backward, float, double);

}  // namespace tandem_kernels
