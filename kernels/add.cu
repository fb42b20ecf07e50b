/// add — out = a + b, element by element.

#include "common.cuh"

namespace tandem_kernels {

template <class T>
__global__ void add_kernel(T* out, const T* a, const T* b, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    out[i] = a[i] + b[i];
  }
}

template <class T>
void add(tandem::cuda::Stream stream, T* out, const T* a, const T* b, std::int64_t n) {
  tandem::cuda::launch(add_kernel<T>, dim3(blocks_for(n, 256)), dim3(256), 0, stream, out, a, b, n);
}

template void add<float>(tandem::cuda::Stream, float*, const float*, const float*, std::int64_t);
template void add<double>(tandem::cuda::Stream, double*, const double*, const double*, std::int64_t);

}  // namespace tandem_kernels
