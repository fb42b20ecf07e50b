/// saved_gradient — dx = g·dy/max(1, n), of a loss that found g on its way forward and divides by a
/// count n that stays on the device. Reads and writes once: bound by memory.

#include "common.cuh"

namespace tandem_kernels {

template <class T>
__global__ void saved_gradient_kernel(T* dx, const T* gradient, const T* dy,
                                      const std::int64_t* count, std::int64_t n) {
  const T factor = *dy / static_cast<T>(*count > 1 ? *count : 1);
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    dx[i] = factor * gradient[i];
}

template <class T>
void saved_gradient(Queue& queue, T* dx, const T* gradient, const T* dy, const std::int64_t* count,
                    std::int64_t n) {
  launch("saved_gradient", saved_gradient_kernel<T>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
         dx, gradient, dy, count, n);
}
TANDEM_KERNEL(saved_gradient, float, double);

}  // namespace tandem_kernels
