/// quick_gelu — y = x·s, s = σ(1.702x);   dx = dy·s·(1 + 1.702x·(1 − s)).

#include "common.cuh"

namespace tandem_kernels {

/// σ(z) without overflow: the exponent is never positive.
template <class T>
__device__ T sigmoid_of(T z) {
  const T e = exp(z < T(0) ? z : -z);
  return (z < T(0) ? e : T(1)) / (T(1) + e);
}

template <class T>
__global__ void quick_gelu_kernel(T* y, const T* x, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    y[i] = x[i] * sigmoid_of(T(1.702) * x[i]);
  }
}

template <class T>
__global__ void quick_gelu_backward_kernel(T* dx, const T* dy, const T* x, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const T z = T(1.702) * x[i], s = sigmoid_of(z);
    dx[i] = dy[i] * s * (T(1) + z * (T(1) - s));
  }
}

template <class T>
void quick_gelu(tandem::cuda::Stream stream, T* y, const T* x, std::int64_t n) {
  tandem::cuda::launch(quick_gelu_kernel<T>, dim3(blocks_for(n, 256)), dim3(256), 0, stream, y, x, n);
}
template <class T>
void quick_gelu_backward(tandem::cuda::Stream stream, T* dx, const T* dy, const T* x, std::int64_t n) {
  tandem::cuda::launch(quick_gelu_backward_kernel<T>, dim3(blocks_for(n, 256)), dim3(256), 0, stream, dx,
                       dy, x, n);
}

template void quick_gelu<float>(tandem::cuda::Stream, float*, const float*, std::int64_t);
template void quick_gelu<double>(tandem::cuda::Stream, double*, const double*, std::int64_t);
template void quick_gelu_backward<float>(tandem::cuda::Stream, float*, const float*, const float*,
                                         std::int64_t);
template void quick_gelu_backward<double>(tandem::cuda::Stream, double*, const double*, const double*,
                                          std::int64_t);

}  // namespace tandem_kernels
