/// gradient_squares, scale_gradients — the norm of many gradients, and a factor for all of them, in
/// few launches.
///
/// A launch takes a table of tensors (tensor_table.cuh) in chunks of 16384 elements. A block adds
/// up the squares of a chunk; one block then adds the chunks, in their order by thread, in double:
/// a number for 16384 elements. Scaling reads the sum of the squares where it is, so that nothing
/// waits for it; a block computes the factor once, in double as the CPU does. Reads every gradient
/// once, scaling writes it too: bound by memory.

#include "tandem/formula/clip_grad.hpp"
#include "tensor_table.cuh"

namespace tandem_kernels {

using tandem::formula::GradientTensor;

template <class T>
using GradientTable = TensorTable<GradientTensor<T>, 16384>;

/// parts[c] = Σ g² over chunk c.
template <class T>
__global__ void gradient_squares_kernel(GradientTable<const T> table, double* parts) {
  TANDEM_SHARED(T, partial, 32);
  for (std::int64_t c = blockIdx.x; c < table.chunks(); c += gridDim.x) {
    std::int64_t begin, end;
    const GradientTensor<const T>& t = table.find(c, begin, end);
    T sum = 0;
    for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
      sum += t.data[i] * t.data[i];
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) parts[c] = static_cast<double>(sum);
  }
}

/// *total = Σ parts. One block.
template <class D>
__global__ void add_parts_kernel(D* total, const D* parts, std::int64_t count) {
  TANDEM_SHARED(D, partial, 32);
  D sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += parts[i];
  sum = block_sum(sum, partial);
  if (threadIdx.x == 0) *total = sum;
}

/// g ← g·clip_factor(*squares, max_norm).
template <class T>
__global__ void scale_gradients_kernel(GradientTable<T> table, const double* squares,
                                       double max_norm) {
  TANDEM_SHARED(T, shared_factor, 1);
  if (threadIdx.x == 0)
    shared_factor[0] = static_cast<T>(tandem::formula::clip_factor(*squares, max_norm));
  __syncthreads();
  const T factor = shared_factor[0];
  if (factor == T(1)) return;
  for (std::int64_t c = blockIdx.x; c < table.chunks(); c += gridDim.x) {
    std::int64_t begin, end;
    const GradientTensor<T>& t = table.find(c, begin, end);
    const auto scale = [&]<int W>(std::int64_t i) {
      Pack<T, W> x = packs_of<W>(t.data)[i];
      TANDEM_UNROLLED
      for (int w = 0; w < W; ++w) x.value[w] = x.value[w] * factor;
      packs_of<W>(t.data)[i] = x;
    };
    each_pack<T>(begin, end, scale, t.data);
  }
}

template <class T>
void gradient_squares(Queue& queue, double* total, const GradientTensor<const T>* gradients,
                      std::int64_t count) {
  using Table = GradientTable<const T>;
  std::int64_t all = 0, done = 0;
  for (std::int64_t k = 0; k < count; ++k)
    all += (gradients[k].size + Table::chunk - 1) / Table::chunk;
  const Scratch<double> parts(queue, all);
  for_each_table<Table>(gradients, count, [&](const Table& table, std::int64_t chunks) {
    launch("gradient_squares", gradient_squares_kernel<T>, dim3(blocks_for(chunks, 1)), dim3(256),
           0, queue, table, parts.data() + done);
    done += chunks;
  });
  launch("add_parts", add_parts_kernel<double>, dim3(1), dim3(256), 0, queue, total, parts.data(),
         all);
}
template <class T>
void scale_gradients(Queue& queue, const GradientTensor<T>* gradients, std::int64_t count,
                     const double* squares, double max_norm) {
  using Table = GradientTable<T>;
  for_each_table<Table>(gradients, count, [&](const Table& table, std::int64_t chunks) {
    launch("scale_gradients", scale_gradients_kernel<T>, dim3(blocks_for(chunks, 1)), dim3(256), 0,
           queue, table, squares, max_norm);
  });
}
TANDEM_KERNEL(gradient_squares, float, double);
TANDEM_KERNEL(scale_gradients, float, double);

}  // namespace tandem_kernels
