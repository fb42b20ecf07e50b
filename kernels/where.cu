/// where — out[i] = condition[i] ? a[i] : b[i], each in its own layout. Bound by memory.

#include "map.cuh"

namespace tandem_kernels {

using tandem::bfloat16;

template <class T, bool wide>
__global__ void choose_kernel(T* out, const bool* condition, const T* a, const T* b,
                              Places<4, wide> places, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    std::int64_t at[4];
    places.find(static_cast<typename Places<4, wide>::Index>(i), at);
    out[at[0]] = condition[at[1]] ? a[at[2]] : b[at[3]];
  }
}

template <class T>
void choose_elements(Queue& queue, T* out, const bool* condition, const T* a, const T* b,
                     const tandem::detail::Loop<4>& loop) {
  const std::int64_t n = loop.numel();
  if (n == 0) return;
  if (n < narrow_below()) {
    launch("where", choose_kernel<T, false>, dim3(blocks_for(n, 256)), dim3(256), 0, queue, out,
           condition, a, b, Places<4, false>(loop), n);
  } else {
    launch("where", choose_kernel<T, true>, dim3(blocks_for(n, 256)), dim3(256), 0, queue, out,
           condition, a, b, Places<4, true>(loop), n);
  }
}
TANDEM_KERNEL(choose_elements, float, double, bfloat16, std::int64_t, std::int32_t, std::uint8_t,
              bool);

}  // namespace tandem_kernels
