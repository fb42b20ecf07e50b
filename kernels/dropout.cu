/// dropout — y = x·m, m drawn as on the CPU: a thread draws a block of Philox, four words, for four
/// elements.
///
/// Ten rounds of two 32 × 32-bit products a thread beside 32 bytes of memory: bound by memory. The
/// same bits as the CPU.

#include "common.cuh"
#include "tandem/formula/dropout.hpp"
#include "tandem/tensor/random.hpp"

namespace tandem_kernels {

/// W elements are read and written together, four or two of them.
template <class T, int W>
__global__ void dropout_kernel(T* y, const T* x, std::int64_t n, std::uint64_t seed,
                               std::uint64_t stream, std::uint64_t position,
                               std::uint32_t threshold, T scale, const std::int64_t* key) {
  if (key != nullptr) {
    seed = static_cast<std::uint64_t>(key[0]);
    stream = static_cast<std::uint64_t>(key[1]);
  }
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < (n + 3) / 4;
       i += step) {
    const tandem::Philox random =
        tandem::Philox::block(position + static_cast<std::uint64_t>(i), stream, seed);
    if (i * 4 + 4 <= n) {
      TANDEM_UNROLLED
      for (int part = 0; part < 4; part += W) {
        Pack<T, W> v = reinterpret_cast<const Pack<T, W>*>(x + i * 4 + part)[0];
        TANDEM_UNROLLED
        for (int w = 0; w < W; ++w)
          v.value[w] = random.word[part + w] < threshold ? T(0) : v.value[w] * scale;
        reinterpret_cast<Pack<T, W>*>(y + i * 4 + part)[0] = v;
      }
    } else {
      TANDEM_UNROLLED
      for (int k = 0; k < 3; ++k) {
        if (i * 4 + k < n) y[i * 4 + k] = random.word[k] < threshold ? T(0) : x[i * 4 + k] * scale;
      }
    }
  }
}

template <class T>
void dropout_forward(Queue& queue, T* y, const T* x, std::int64_t n,
                     const tandem::formula::DropoutMask& mask) {
  const dim3 grid(blocks_for((n + 3) / 4, 256)), block(256);
  if (aligned(x, y)) {
    launch("dropout", dropout_kernel<T, pack_size<T>>, grid, block, 0, queue, y, x, n, mask.seed,
           mask.stream, mask.position, mask.threshold, static_cast<T>(mask.scale), mask.key);
  } else {
    launch("dropout", dropout_kernel<T, 1>, grid, block, 0, queue, y, x, n, mask.seed, mask.stream,
           mask.position, mask.threshold, static_cast<T>(mask.scale), mask.key);
  }
}
TANDEM_KERNEL(dropout_forward, float, double);

}  // namespace tandem_kernels
