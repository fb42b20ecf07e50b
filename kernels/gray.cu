/// gray — grey bytes of coloured ones (include/tandem/image/gray.hpp): a thread has a pixel, whole
/// numbers, so the CPU's bytes. Reads 3 bytes a pixel and writes one: bound by memory.

#include "common.cuh"
#include "tandem/image/gray.hpp"

namespace tandem_kernels {

template <class T>
__global__ void __launch_bounds__(256) gray_bytes_kernel(T* to, const T* from, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    to[i] = tandem::io::detail::gray_level(from + 3 * i);
}

template <class T>
void gray_bytes(Queue& queue, T* to, const T* from, std::int64_t n) {
  launch("gray_bytes", gray_bytes_kernel<T>, dim3(blocks_for(n, 256)), dim3(256), 0, queue, to,
         from, n);
}
TANDEM_KERNEL(gray_bytes, std::uint8_t);

}  // namespace tandem_kernels
