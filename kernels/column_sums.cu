/// column_sums — to[j] = Σ x[i, j] over the rows: the gradient of what was broadcast over them.
/// One thread per column and slice of rows, slices added in order: the same bits every time.

#include "common.cuh"

namespace tandem_kernels {

/// Block (32, 8): 32 columns, 8 slices of rows.
template <class T>
__global__ void column_sums_kernel(T* to, const T* x, std::int64_t rows, std::int64_t n) {
  TANDEM_SHARED(T, sums, 256);
  const std::int64_t column = std::int64_t{blockIdx.x} * 32 + threadIdx.x;
  T sum = 0;
  if (column < n) {
    for (std::int64_t row = threadIdx.y; row < rows; row += 8) sum += x[row * n + column];
  }
  sums[threadIdx.y * 32 + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= n) return;
  for (int slice = 1; slice < 8; ++slice) sum += sums[slice * 32 + threadIdx.x];
  to[column] = sum;
}

template <class T>
void column_sums(tandem::cuda::Stream stream, T* to, const T* x, std::int64_t rows, std::int64_t n) {
  tandem::cuda::launch(column_sums_kernel<T>, dim3(static_cast<unsigned>((n + 31) / 32)), dim3(32, 8), 0,
                       stream, to, x, rows, n);
}

template void column_sums<float>(tandem::cuda::Stream, float*, const float*, std::int64_t, std::int64_t);
template void column_sums<double>(tandem::cuda::Stream, double*, const double*, std::int64_t,
                                  std::int64_t);

}  // namespace tandem_kernels
