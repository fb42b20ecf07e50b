/// topk_mean — the mean of the k largest scores along time, per class, k a share of the video's
/// valid frames.
///
/// A block sorts a class of a video (sort.cuh), the frames that are not valid last, and adds up the
/// first k in their falling order: fixed, though not the CPU's. Backward reads which frames were
/// taken. Bound by the barriers of the sort, backward by memory.

#include "sort.cuh"

namespace tandem_kernels {

/// scores (B, T, C), valid (B, T) → y (B, C), taken (B, T, C), chosen (B): how many of each class.
/// A video without frames: NaN.
template <class T, bool in_shared>
__global__ void __launch_bounds__(512)
    topk_mean_kernel(T* y, bool* taken, std::int64_t* chosen, const T* scores, const bool* valid,
                     std::int64_t columns, std::int64_t frames, std::int64_t classes,
                     std::int64_t divisor, std::int64_t count, T* scratch,
                     std::int64_t* scratch_places) {
  TANDEM_SHARED_BYTES(T, shared);
  TANDEM_SHARED(T, partial, 32);
  TANDEM_SHARED(std::int64_t, partial_count, 32);
  const Entries<T, in_shared> entries(shared, scratch, scratch_places, count);
  using Index = typename Entries<T, in_shared>::Index;
  for (std::int64_t column = blockIdx.x; column < columns; column += gridDim.x) {
    const std::int64_t b = column / classes, c = column - b * classes;
    std::int64_t real = 0;
    for (std::int64_t t = threadIdx.x; t < count; t += blockDim.x) {
      const bool exists = t < frames && valid[b * frames + t];
      entries.keys[t] = exists ? scores[(b * frames + t) * classes + c] : T(0);
      entries.places[t] = static_cast<Index>(exists ? t : frames + t);
      real += exists ? 1 : 0;
    }
    real = block_sum(real, partial_count);
    sort_entries(entries.keys, entries.places, count, static_cast<Index>(frames), true);
    const std::int64_t share = real / divisor, k = real == 0 ? 0 : share > 1 ? share : 1;
    T sum = 0;
    for (std::int64_t i = threadIdx.x; i < k; i += blockDim.x) sum += entries.keys[i];
    sum = block_sum(sum, partial);
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) {
      const std::int64_t place = entries.places[i], t = place < frames ? place : place - frames;
      if (t < frames) taken[(b * frames + t) * classes + c] = i < k;
    }
    if (threadIdx.x == 0) {
      y[column] = sum / static_cast<T>(k);
      if (c == 0) chosen[b] = k;
    }
    __syncthreads();  // before the next column is loaded
  }
}

template <class T>
__global__ void topk_mean_backward_kernel(T* ds, const T* dy, const bool* taken,
                                          const std::int64_t* chosen, std::int64_t videos,
                                          std::int64_t frames, std::int64_t classes) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       i < videos * frames * classes; i += step) {
    const std::int64_t b = i / (frames * classes), c = i % classes;
    ds[i] = taken[i] ? dy[b * classes + c] / static_cast<T>(chosen[b]) : T(0);
  }
}

template <class T>
void topk_mean_forward(Queue& queue, T* y, bool* taken, std::int64_t* chosen, const T* scores,
                       const bool* valid, std::int64_t videos, std::int64_t frames,
                       std::int64_t classes, std::int64_t divisor) {
  const SortPlan plan(frames, videos * classes);
  const Scratch<T> keys(queue, plan.scratch());
  const Scratch<std::int64_t> places(queue, plan.scratch());
  const auto start = [&]<bool in_shared>() {
    launch("topk_mean", topk_mean_kernel<T, in_shared>, plan.grid, plan.threads,
           plan.shared_bytes<T>(), queue, y, taken, chosen, scores, valid, videos * classes, frames,
           classes, divisor, plan.count, keys.data(), places.data());
  };
  plan.shared ? start.template operator()<true>() : start.template operator()<false>();
}
template <class T>
void topk_mean_backward(Queue& queue, T* ds, const T* dy, const bool* taken,
                        const std::int64_t* chosen, std::int64_t videos, std::int64_t frames,
                        std::int64_t classes) {
  launch("topk_mean_backward", topk_mean_backward_kernel<T>,
         dim3(blocks_for(videos * frames * classes, 256)), dim3(256), 0, queue, ds, dy, taken,
         chosen, videos, frames, classes);
}
TANDEM_KERNEL(topk_mean_forward, float, double);
TANDEM_KERNEL(topk_mean_backward, float, double);

}  // namespace tandem_kernels
