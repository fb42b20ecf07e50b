/// adam — one update of many tensors in few launches; the formula is in formula/adam.hpp.
///
/// A launch takes a table of tensors (tensor_table.cuh) in chunks of 2048 elements. The numbers of
/// the step are arguments, or lie in memory (for captured graphs). Reads four arrays and writes
/// three: bound by memory.

#include "tandem/formula/adam.hpp"
#include "tensor_table.cuh"

namespace tandem_kernels {

using tandem::formula::AdamTensor;

template <class T>
using AdamTable = TensorTable<AdamTensor<T>, 2048>;

template <class T>
__global__ void adam_kernel(AdamTable<T> table, tandem::formula::Adam<T> given,
                            const tandem::formula::Adam<T>* in_memory) {
  const tandem::formula::Adam<T> step = in_memory != nullptr ? *in_memory : given;
  for (std::int64_t c = blockIdx.x; c < table.chunks(); c += gridDim.x) {
    std::int64_t begin, end;
    const AdamTensor<T>& t = table.find(c, begin, end);
    const auto update = [&]<int W>(std::int64_t i) {
      Pack<T, W> theta = packs_of<W>(t.parameter)[i], first = packs_of<W>(t.first)[i],
                 second = packs_of<W>(t.second)[i];
      const Pack<T, W> gradient = packs_of<W>(t.gradient)[i];
      TANDEM_UNROLLED
      for (int w = 0; w < W; ++w)
        step.update(theta.value[w], gradient.value[w], first.value[w], second.value[w]);
      packs_of<W>(t.parameter)[i] = theta;
      packs_of<W>(t.first)[i] = first;
      packs_of<W>(t.second)[i] = second;
    };
    each_pack<T>(begin, end, update, t.parameter, t.gradient, t.first, t.second);
  }
}

template <class T>
void adam_step(Queue& queue, const AdamTensor<T>* tensors, std::int64_t count,
               const tandem::formula::Adam<T>& numbers, const tandem::formula::Adam<T>* in_memory) {
  for_each_table<AdamTable<T>>(tensors, count, [&](const AdamTable<T>& table, std::int64_t chunks) {
    launch("adam", adam_kernel<T>, dim3(blocks_for(chunks, 1)), dim3(256), 0, queue, table, numbers,
           in_memory);
  });
}
TANDEM_KERNEL(adam_step, float, double);

}  // namespace tandem_kernels
