/// levels — bytes of pictures as planes of floats (include/tandem/image/levels.hpp): the table, 3
/// KB, comes with the launch and lies in shared memory, a thread has a pixel. Reads 3 bytes a pixel
/// and writes 12: bound by memory.

#include "common.cuh"
#include "tandem/image/levels.hpp"

namespace tandem_kernels {

using tandem::io::detail::ByteLevels;
using tandem::io::detail::BytePlanes;

template <class T>
__global__ void __launch_bounds__(256)
    byte_planes_kernel(T* to, const std::uint8_t* from, ByteLevels levels, BytePlanes planes) {
  TANDEM_SHARED(T, level, 3 * 256);
  for (int i = threadIdx.x; i < 3 * 256; i += blockDim.x) level[i] = levels.of[i / 256][i % 256];
  __syncthreads();
  const std::int64_t n = planes.count * planes.pixels, step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const std::int64_t picture = i / planes.pixels;
    T* const out = to + picture * planes.picture_step + (i - picture * planes.pixels);
    for (int c = 0; c < 3; ++c) out[c * planes.channel_step] = level[256 * c + from[3 * i + c]];
  }
}

template <class T>
void byte_planes(Queue& queue, T* to, const std::uint8_t* from, const ByteLevels& levels,
                 const BytePlanes& planes) {
  launch("byte_planes", byte_planes_kernel<T>, dim3(blocks_for(planes.count * planes.pixels, 1024)),
         dim3(256), 0, queue, to, from, levels, planes);
}
TANDEM_KERNEL(byte_planes, float);

}  // namespace tandem_kernels
