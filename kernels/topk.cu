/// topk — the k first of each column by a sort of the whole column (sort.cuh); dx is dy at their
/// places, else 0.
///
/// n log²n/4 comparisons a column, a barrier for each of the log²n/2 steps: bound by them. The
/// CPU's values and places.

#include "runtime.cuh"
#include "sort.cuh"

namespace tandem_kernels {

using tandem::bfloat16;

template <class T, bool in_shared>
__global__ void __launch_bounds__(512)
    topk_kernel(T* values, std::int64_t* indices, const T* x, std::int64_t columns, std::int64_t n,
                std::int64_t inner, std::int64_t k, bool largest, std::int64_t count, T* scratch,
                std::int64_t* scratch_places) {
  TANDEM_SHARED_BYTES(T, shared);
  const Entries<T, in_shared> entries(shared, scratch, scratch_places, count);
  using Index = typename Entries<T, in_shared>::Index;
  for (std::int64_t column = blockIdx.x; column < columns; column += gridDim.x) {
    const std::int64_t o = column / inner, at = column - o * inner;
    const T* const from = x + o * n * inner + at;
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) {
      entries.keys[i] = i < n ? from[i * inner] : T(0);
      entries.places[i] = static_cast<Index>(i);
    }
    __syncthreads();
    sort_entries(entries.keys, entries.places, count, static_cast<Index>(n), largest);
    for (std::int64_t i = threadIdx.x; i < k; i += blockDim.x) {
      values[(o * k + i) * inner + at] = entries.keys[i];
      indices[(o * k + i) * inner + at] = entries.places[i];
    }
    // Each thread has read entries that it loads again itself: no barrier before the next column.
  }
}

/// dx, 0 so far, (outer, n, inner) at the chosen places = dy (outer, k, inner); no place is chosen
/// twice.
template <class T>
__global__ void topk_backward_kernel(T* dx, const T* dy, const std::int64_t* indices,
                                     std::int64_t outer, std::int64_t n, std::int64_t inner,
                                     std::int64_t k) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < outer * k * inner;
       i += step) {
    const std::int64_t o = i / (k * inner), at = i % inner;
    dx[(o * n + indices[i]) * inner + at] = dy[i];
  }
}

template <class T>
void topk_forward(Queue& queue, T* values, std::int64_t* indices, const T* x, std::int64_t outer,
                  std::int64_t n, std::int64_t inner, std::int64_t k, bool largest) {
  if (k == 0) return;
  const SortPlan plan(n, outer * inner);
  const Scratch<T> keys(queue, plan.scratch());
  const Scratch<std::int64_t> places(queue, plan.scratch());
  const auto start = [&]<bool in_shared>() {
    launch("topk", topk_kernel<T, in_shared>, plan.grid, plan.threads, plan.shared_bytes<T>(),
           queue, values, indices, x, outer * inner, n, inner, k, largest, plan.count, keys.data(),
           places.data());
  };
  plan.shared ? start.template operator()<true>() : start.template operator()<false>();
}
template <class T>
void topk_backward(Queue& queue, T* dx, const T* dy, const std::int64_t* indices,
                   std::int64_t outer, std::int64_t n, std::int64_t inner, std::int64_t k) {
  if (outer * n * inner == 0) return;
  fill(queue, dx, sizeof(T), 0, outer * n * inner);
  launch("topk_backward", topk_backward_kernel<T>, dim3(blocks_for(outer * k * inner, 256)),
         dim3(256), 0, queue, dx, dy, indices, outer, n, inner, k);
}
TANDEM_KERNEL(topk_forward, float, double, bfloat16, std::int64_t, std::int32_t);
TANDEM_KERNEL(topk_backward, float, double, bfloat16);

}  // namespace tandem_kernels
