/// softmax — y = exp(x − max)/Σ exp(x − max) over a row;   dx = y·(dy − Σ dy·y).
/// One block per row; rows of any length, also those of −∞ only (all zeros).

#include "common.cuh"

namespace tandem_kernels {

template <class T>
__global__ void softmax_kernel(T* y, const T* x, std::int64_t rows, std::int64_t n) {
  TANDEM_SHARED(T, partial, 32);
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* in = x + row * n;
    T* out = y + row * n;
    T top = -INFINITY;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) top = in[i] > top ? in[i] : top;
    top = block_max(top, partial);
    if (top == -INFINITY) top = 0;  // nothing takes part, or only NaN, which the sum then finds
    T sum = 0;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += exp(in[i] - top);
    sum = block_sum(sum, partial);
    const T scale = sum == T(0) ? T(0) : T(1) / sum;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) out[i] = exp(in[i] - top) * scale;
  }
}

template <class T>
__global__ void softmax_backward_kernel(T* dx, const T* y, const T* dy, std::int64_t rows,
                                        std::int64_t n) {
  TANDEM_SHARED(T, partial, 32);
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t at = row * n;
    T sum = 0;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += dy[at + i] * y[at + i];
    sum = block_sum(sum, partial);
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      dx[at + i] = y[at + i] * (dy[at + i] - sum);
    }
  }
}

/// Threads for a row of n: whole warps, at most 256.
inline unsigned row_threads(std::int64_t n) { return n >= 256 ? 256u : n > 32 ? 128u : 32u; }

template <class T>
void softmax(tandem::cuda::Stream stream, T* y, const T* x, std::int64_t rows, std::int64_t n) {
  tandem::cuda::launch(softmax_kernel<T>, dim3(blocks_for(rows, 1)), dim3(row_threads(n)), 0, stream, y, x,
                       rows, n);
}
template <class T>
void softmax_backward(tandem::cuda::Stream stream, T* dx, const T* y, const T* dy, std::int64_t rows,
                      std::int64_t n) {
  tandem::cuda::launch(softmax_backward_kernel<T>, dim3(blocks_for(rows, 1)), dim3(row_threads(n)), 0,
                       stream, dx, y, dy, rows, n);
}

template void softmax<float>(tandem::cuda::Stream, float*, const float*, std::int64_t, std::int64_t);
template void softmax<double>(tandem::cuda::Stream, double*, const double*, std::int64_t, std::int64_t);
template void softmax_backward<float>(tandem::cuda::Stream, float*, const float*, const float*,
                                      std::int64_t, std::int64_t);
template void softmax_backward<double>(tandem::cuda::Stream, double*, const double*, const double*,
                                       std::int64_t, std::int64_t);

}  // namespace tandem_kernels
