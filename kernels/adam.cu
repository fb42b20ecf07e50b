/// adam — one update of many tensors in few launches; the formula is in formula/adam.hpp.
///
/// A launch takes up to 60 tensors, cut into chunks of 2048 elements; the table of both travels by
/// value among the kernel's arguments (4 KiB at most), so no copy to the device and no waiting is
/// needed. A block takes every gridDim.x-th chunk. The numbers of the step are arguments, or lie in
/// memory (for captured graphs). Reads four arrays and writes three: bound by memory.

#include "common.cuh"
#include "tandem/formula/adam.hpp"

namespace tandem_kernels {

using tandem::formula::AdamTensor;

template <class T>
struct AdamTable {
  static constexpr int capacity = 60;
  static constexpr std::int64_t chunk = 2048;
  AdamTensor<T> tensor[capacity];
  std::int64_t chunks_before[capacity + 1];
  int count;
};

template <class T>
__global__ void adam_kernel(AdamTable<T> table, tandem::formula::Adam<T> given,
                            const tandem::formula::Adam<T>* in_memory) {
  const tandem::formula::Adam<T> step = in_memory != nullptr ? *in_memory : given;
  for (std::int64_t c = blockIdx.x; c < table.chunks_before[table.count]; c += gridDim.x) {
    int which = 0;
    while (table.chunks_before[which + 1] <= c) ++which;
    const AdamTensor<T> t = table.tensor[which];
    const std::int64_t begin = (c - table.chunks_before[which]) * AdamTable<T>::chunk,
                       end = begin + AdamTable<T>::chunk < t.size ? begin + AdamTable<T>::chunk
                                                                  : t.size;
    for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
      T theta = t.parameter[i], first = t.first[i], second = t.second[i];
      step.update(theta, t.gradient[i], first, second);
      t.parameter[i] = theta;
      t.first[i] = first;
      t.second[i] = second;
    }
  }
}

template <class T>
void adam_step(Queue& queue, const AdamTensor<T>* tensors, std::int64_t count,
               const tandem::formula::Adam<T>& numbers, const tandem::formula::Adam<T>* in_memory) {
  for (std::int64_t at = 0; at < count;) {
    AdamTable<T> table = {};
    for (; table.count < AdamTable<T>::capacity && at < count; ++at) {
      if (tensors[at].size == 0) continue;
      const std::int64_t chunks =
          (tensors[at].size + AdamTable<T>::chunk - 1) / AdamTable<T>::chunk;
      table.tensor[table.count] = tensors[at];
      table.chunks_before[table.count + 1] = table.chunks_before[table.count] + chunks;
      ++table.count;
    }
    launch("adam", adam_kernel<T>, dim3(blocks_for(table.chunks_before[table.count], 1)), dim3(256),
           0, queue, table, numbers, in_memory);
  }
}
TANDEM_KERNEL(adam_step, float, double);

}  // namespace tandem_kernels
