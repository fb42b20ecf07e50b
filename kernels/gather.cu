/// gather, scatter_add — elements by their ids along a dimension, and back, added in the order of
/// the ids.
///
/// Forward: bound by memory. Adding: with many columns a thread has a column and walks its ids;
/// with few, a thread has an element and looks through all ids of its column (length · n
/// comparisons a column). Both add in the same order, so the bits are the CPU's, without atomics.
/// Ids that do not exist read and write nothing; they gather NaN, or 0.

#include "map.cuh"

namespace tandem_kernels {

using tandem::bfloat16;
using tandem::detail::IndexedLoop;

template <class T, bool wide>
__global__ void gather_kernel(T* near, const T* far, const std::int64_t* ids,
                              Places<3, wide> places, std::int64_t count, std::int64_t far_step,
                              std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    std::int64_t at[3];
    places.find(static_cast<typename Places<3, wide>::Index>(i), at);
    const std::int64_t id = ids[at[1]];
    near[at[0]] = id >= 0 && id < n ? far[at[2] + id * far_step] : missing<T>();
  }
}

/// The steps of an IndexedLoop along its dimension.
struct IndexedSteps {
  std::int64_t length, near, index, far, n;
};

template <class T, bool wide>
__global__ void scatter_columns_kernel(T* far, const T* near, const std::int64_t* ids,
                                       Places<3, wide> columns, std::int64_t count,
                                       IndexedSteps steps) {
  using C = compute_t<T>;
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < count; c += step) {
    std::int64_t at[3];
    columns.find(static_cast<typename Places<3, wide>::Index>(c), at);
    for (std::int64_t i = 0; i < steps.length; ++i) {
      const std::int64_t id = ids[at[1] + i * steps.index];
      if (id < 0 || id >= steps.n) continue;
      T& to = far[at[2] + id * steps.far];
      to = T(C(to) + C(near[at[0] + i * steps.near]));
    }
  }
}

template <class T, bool wide>
__global__ void scatter_elements_kernel(T* far, const T* near, const std::int64_t* ids,
                                        Places<3, wide> columns, std::int64_t count,
                                        IndexedSteps steps) {
  using C = compute_t<T>;
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < count * steps.n;
       e += step) {
    const std::int64_t c = e / steps.n, mine = e - c * steps.n;
    std::int64_t at[3];
    columns.find(static_cast<typename Places<3, wide>::Index>(c), at);
    T& to = far[at[2] + mine * steps.far];
    T sum = to;
    for (std::int64_t i = 0; i < steps.length; ++i) {
      if (ids[at[1] + i * steps.index] == mine) sum = T(C(sum) + C(near[at[0] + i * steps.near]));
    }
    to = sum;
  }
}

/// Calls f with <false> where an index of 32 bits is enough, else with <true>.
template <class F>
void with_width(std::int64_t count, const F& f) {
  count < narrow_below() ? f.template operator()<false>() : f.template operator()<true>();
}

template <class T>
void gather_forward(Queue& queue, T* near, const T* far, const std::int64_t* ids,
                    const IndexedLoop& loop) {
  const std::int64_t count = loop.all.numel();
  if (count == 0) return;
  with_width(count, [&]<bool wide>() {
    launch("gather", gather_kernel<T, wide>, dim3(blocks_for(count, 256)), dim3(256), 0, queue,
           near, far, ids, Places<3, wide>(loop.all), count, loop.far_step, loop.n);
  });
}
template <class T>
void scatter_forward(Queue& queue, T* far, const T* near, const std::int64_t* ids,
                     const IndexedLoop& loop) {
  if (loop.all.numel() == 0) return;
  const std::int64_t columns = loop.columns.numel();
  const IndexedSteps steps{loop.length, loop.near_step, loop.index_step, loop.far_step, loop.n};
  with_width(columns, [&]<bool wide>() {
    if (columns >= 4096) {
      launch("scatter", scatter_columns_kernel<T, wide>, dim3(blocks_for(columns, 128)), dim3(128),
             0, queue, far, near, ids, Places<3, wide>(loop.columns), columns, steps);
    } else {
      launch("scatter", scatter_elements_kernel<T, wide>, dim3(blocks_for(columns * loop.n, 128)),
             dim3(128), 0, queue, far, near, ids, Places<3, wide>(loop.columns), columns, steps);
    }
  });
}
TANDEM_KERNEL(gather_forward, float, double, bfloat16, std::int64_t, std::int32_t, std::uint8_t,
              bool);
TANDEM_KERNEL(scatter_forward, float, double, bfloat16, std::int64_t);

}  // namespace tandem_kernels
