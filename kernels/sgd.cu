/// sgd — one update of many tensors in few launches; the formula is in formula/sgd.hpp.
///
/// A launch takes a table of tensors (tensor_table.cuh) in chunks of 2048 elements. The numbers of
/// the step are arguments, or lie in memory (for captured graphs). Without momentum it reads two
/// arrays and writes one, with it three and two: bound by memory.

#include "tandem/formula/sgd.hpp"
#include "tensor_table.cuh"

namespace tandem_kernels {

using tandem::formula::SgdTensor;

template <class T>
using SgdTable = TensorTable<SgdTensor<T>, 2048>;

template <class T>
__global__ void sgd_kernel(SgdTable<T> table, tandem::formula::Sgd<T> given,
                           const tandem::formula::Sgd<T>* in_memory) {
  const tandem::formula::Sgd<T> step = in_memory != nullptr ? *in_memory : given;
  for (std::int64_t c = blockIdx.x; c < table.chunks(); c += gridDim.x) {
    std::int64_t begin, end;
    const SgdTensor<T>& t = table.find(c, begin, end);
    const auto update = [&]<int W>(std::int64_t i) {
      Pack<T, W> theta = packs_of<W>(t.parameter)[i];
      const Pack<T, W> gradient = packs_of<W>(t.gradient)[i];
      if (t.buffer == nullptr) {
        TANDEM_UNROLLED
        for (int w = 0; w < W; ++w) step.update(theta.value[w], gradient.value[w]);
      } else {
        Pack<T, W> buffer = packs_of<W>(t.buffer)[i];
        TANDEM_UNROLLED
        for (int w = 0; w < W; ++w) step.update(theta.value[w], gradient.value[w], buffer.value[w]);
        packs_of<W>(t.buffer)[i] = buffer;
      }
      packs_of<W>(t.parameter)[i] = theta;
    };
    each_pack<T>(begin, end, update, t.parameter, t.gradient, t.buffer);
  }
}

template <class T>
void sgd_step(Queue& queue, const SgdTensor<T>* tensors, std::int64_t count,
              const tandem::formula::Sgd<T>& numbers, const tandem::formula::Sgd<T>* in_memory) {
  for_each_table<SgdTable<T>>(tensors, count, [&](const SgdTable<T>& table, std::int64_t chunks) {
    launch("sgd", sgd_kernel<T>, dim3(blocks_for(chunks, 1)), dim3(256), 0, queue, table, numbers,
           in_memory);
  });
}
TANDEM_KERNEL(sgd_step, float, double);

}  // namespace tandem_kernels
