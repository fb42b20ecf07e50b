/// keep_labels, recall_labels — H of crops in a memory of one byte each, by place. Bound by memory.

#include "common.cuh"

namespace tandem_kernels {

template <class T>
__global__ void keep_labels_kernel(std::uint8_t* memory, const T* h, const std::int64_t* places,
                                   std::int64_t count, std::int64_t of_video, std::int64_t room) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    const std::int64_t b = i / of_video, place = places[b];
    if (place >= 0) memory[place * room + (i - b * of_video)] = static_cast<std::uint8_t>(h[i] + 1);
  }
}

template <class T>
__global__ void recall_labels_kernel(T* h, const std::uint8_t* memory, const std::int64_t* places,
                                     const bool* valid, std::int64_t count, std::int64_t of_video,
                                     std::int64_t classes, std::int64_t room) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    const std::int64_t b = i / of_video;
    h[i] = valid[i / classes] ? T(memory[places[b] * room + (i - b * of_video)]) - 1 : T(-1);
  }
}

template <class T>
void keep_labels(Queue& queue, std::uint8_t* memory, const T* h, const std::int64_t* places,
                 std::int64_t videos, std::int64_t frames, std::int64_t classes,
                 std::int64_t room) {
  const std::int64_t count = videos * frames * classes;
  launch("keep_labels", keep_labels_kernel<T>, dim3(blocks_for(count, 256)), dim3(256), 0, queue,
         memory, h, places, count, frames * classes, room * classes);
}
template <class T>
void recall_labels(Queue& queue, T* h, const std::uint8_t* memory, const std::int64_t* places,
                   const bool* valid, std::int64_t videos, std::int64_t frames,
                   std::int64_t classes, std::int64_t room) {
  const std::int64_t count = videos * frames * classes;
  launch("recall_labels", recall_labels_kernel<T>, dim3(blocks_for(count, 256)), dim3(256), 0,
         queue, h, memory, places, valid, count, frames * classes, classes, room * classes);
}
TANDEM_KERNEL(keep_labels, std::int32_t);
TANDEM_KERNEL(recall_labels, std::int32_t);

}  // namespace tandem_kernels
