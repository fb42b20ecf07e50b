/// gradient_squares, scale_gradients — the norm of many gradients, and a factor for all of them, in
/// few launches.
///
/// As in adam.cu a launch takes a table of tensors, cut into chunks, by value. A block adds up the
/// squares of a chunk;
/// one block then adds the chunks, in their order by thread, in double: a number for 16384
/// elements. Reads every gradient once, scaling writes it too: bound by memory.

#include "common.cuh"
#include "tandem/formula/clip_grad.hpp"

namespace tandem_kernels {

using tandem::formula::GradientTensor;

template <class T>
struct GradientTable {
  static constexpr int capacity = 150;
  static constexpr std::int64_t chunk = 16384;
  GradientTensor<T> tensor[capacity];
  std::int64_t chunks_before[capacity + 1];
  std::int64_t count;

  /// The tensor of chunk c, and which of its elements.
  __device__ const GradientTensor<T>& find(std::int64_t c, std::int64_t& begin,
                                           std::int64_t& end) const {
    int which = 0;
    while (chunks_before[which + 1] <= c) ++which;
    const GradientTensor<T>& t = tensor[which];
    begin = (c - chunks_before[which]) * chunk;
    end = begin + chunk < t.size ? begin + chunk : t.size;
    return t;
  }
};

/// Calls start(table, chunks) for tables that hold all tensors with elements.
template <class T, class F>
void for_each_table(const GradientTensor<T>* tensors, std::int64_t count, const F& start) {
  for (std::int64_t at = 0; at < count;) {
    GradientTable<T> table = {};
    for (; table.count < GradientTable<T>::capacity && at < count; ++at) {
      if (tensors[at].size == 0) continue;
      const std::int64_t chunks =
          (tensors[at].size + GradientTable<T>::chunk - 1) / GradientTable<T>::chunk;
      table.tensor[table.count] = tensors[at];
      table.chunks_before[table.count + 1] = table.chunks_before[table.count] + chunks;
      ++table.count;
    }
    start(table, table.chunks_before[table.count]);
  }
}

/// parts[c] = Σ g² over chunk c.
template <class T>
__global__ void gradient_squares_kernel(GradientTable<const T> table, double* parts) {
  TANDEM_SHARED(T, partial, 32);
  for (std::int64_t c = blockIdx.x; c < table.chunks_before[table.count]; c += gridDim.x) {
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

template <class T>
__global__ void scale_gradients_kernel(GradientTable<T> table, T factor) {
  for (std::int64_t c = blockIdx.x; c < table.chunks_before[table.count]; c += gridDim.x) {
    std::int64_t begin, end;
    const GradientTensor<T>& t = table.find(c, begin, end);
    for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
      t.data[i] = t.data[i] * factor;
  }
}

template <class T>
void gradient_squares(Queue& queue, double* total, const GradientTensor<const T>* gradients,
                      std::int64_t count) {
  std::int64_t all = 0, done = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    all += (gradients[k].size + GradientTable<T>::chunk - 1) / GradientTable<T>::chunk;
  }
  const Scratch<double> parts(queue, all);
  for_each_table(gradients, count, [&](const GradientTable<const T>& table, std::int64_t chunks) {
    launch("gradient_squares", gradient_squares_kernel<T>, dim3(blocks_for(chunks, 1)), dim3(256),
           0, queue, table, parts.data() + done);
    done += chunks;
  });
  launch("add_parts", add_parts_kernel<double>, dim3(1), dim3(256), 0, queue, total, parts.data(),
         all);
}
template <class T>
void scale_gradients(Queue& queue, const GradientTensor<T>* gradients, std::int64_t count,
                     T factor) {
  for_each_table(gradients, count, [&](const GradientTable<T>& table, std::int64_t chunks) {
    launch("scale_gradients", scale_gradients_kernel<T>, dim3(blocks_for(chunks, 1)), dim3(256), 0,
           queue, table, factor);
  });
}
TANDEM_KERNEL(gradient_squares, float, double);
TANDEM_KERNEL(scale_gradients, float, double);

}  // namespace tandem_kernels
