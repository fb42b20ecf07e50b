#pragma once
/// loss_forward, loss_backward — losses that are a formula of element i
/// (include/tandem/formula/losses.hpp), reduced.
///
/// The sum runs over parts of 4096 elements, a block each, then over the parts: in a fixed order,
/// the same bits every time, without atomics. How many elements a mask lets take part is counted on
/// the way and stays on the device. Reads every operand once: bound by memory.

#include "common.cuh"
#include "tandem/formula/losses.hpp"

namespace tandem_kernels {

using tandem::Reduction;

/// out[i] = loss(i): nothing is added.
template <class F, class T>
__global__ void loss_each_kernel(F loss, T* out, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    out[i] = loss(i);
}

/// The reduced loss of a sum over n elements, of which `count` take part.
template <class T>
__device__ T reduced_loss(T sum, std::int64_t count, Reduction reduction) {
  return reduction == Reduction::mean ? (count > 0 ? sum / static_cast<T>(count) : T(0)) : sum;
}

/// sums[p] = Σ loss(i) over part p, counts[p] how many of it take part; of a single part, the
/// result itself.
template <class F, class T>
__global__ void loss_parts_kernel(F loss, T* sums, std::int64_t* counts, const bool* mask,
                                  std::int64_t n, std::int64_t parts, std::int64_t part_size,
                                  Reduction reduction) {
  TANDEM_SHARED(T, partial, 32);
  TANDEM_SHARED(std::int64_t, partial_count, 32);
  for (std::int64_t p = blockIdx.x; p < parts; p += gridDim.x) {
    const std::int64_t begin = p * part_size, end = begin + part_size < n ? begin + part_size : n;
    T sum = 0;
    std::int64_t count = 0;
    for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
      sum += loss(i);
      count += mask == nullptr || mask[i] ? 1 : 0;
    }
    sum = block_sum(sum, partial);
    if (mask != nullptr) count = block_sum(count, partial_count);
    if (threadIdx.x != 0) continue;
    if (mask == nullptr) count = end - begin;
    sums[p] = parts == 1 ? reduced_loss(sum, count, reduction) : sum;
    if (mask != nullptr) counts[p] = count;
  }
}

/// The result from the parts; counted: null without a mask. One block.
template <class T>
__global__ void loss_result_kernel(T* out, std::int64_t* counted, const T* sums,
                                   const std::int64_t* counts, std::int64_t parts, std::int64_t n,
                                   Reduction reduction) {
  TANDEM_SHARED(T, partial, 32);
  TANDEM_SHARED(std::int64_t, partial_count, 32);
  T sum = 0;
  std::int64_t count = 0;
  for (std::int64_t p = threadIdx.x; p < parts; p += blockDim.x) {
    sum += sums[p];
    if (counted != nullptr) count += counts[p];
  }
  sum = block_sum(sum, partial);
  count = counted != nullptr ? block_sum(count, partial_count) : n;
  if (threadIdx.x != 0) return;
  *out = reduced_loss(sum, count, reduction);
  if (counted != nullptr) *counted = count;
}

template <class G, class T>
__global__ void loss_backward_kernel(G gradient, T* dx, const T* dy, std::int64_t n,
                                     Reduction reduction, const std::int64_t* counted) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  const bool each = reduction == Reduction::none;
  T common = 0;
  if (!each) common = reduced_loss(*dy, counted != nullptr ? *counted : n, reduction);
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    dx[i] = gradient(i, each ? dy[i] : common);
  }
}

template <class F, class T>
void loss_forward(Queue& queue, const F& loss, T* out, std::int64_t n, Reduction reduction,
                  const bool* mask, std::int64_t* counted) {
  if (reduction == Reduction::none) {
    launch("loss", loss_each_kernel<F, T>, dim3(blocks_for(n, 256)), dim3(256), 0, queue, loss, out,
           n);
    return;
  }
  constexpr std::int64_t size = 4096;
  const std::int64_t parts = n > size ? (n + size - 1) / size : 1;
  const Scratch<T> sums(queue, parts > 1 ? parts : 0);
  const Scratch<std::int64_t> counts(queue, parts > 1 && mask != nullptr ? parts : 0);
  launch("loss", loss_parts_kernel<F, T>, dim3(blocks_for(parts, 1)), dim3(256), 0, queue, loss,
         parts > 1 ? sums.data() : out, parts > 1 ? counts.data() : counted, mask, n, parts, size,
         reduction);
  if (parts > 1) {
    launch("loss", loss_result_kernel<T>, dim3(1), dim3(256), 0, queue, out, counted, sums.data(),
           counts.data(), parts, n, reduction);
  }
}
template <class G, class T>
void loss_backward(Queue& queue, const G& gradient, T* dx, const T* dy, std::int64_t n,
                   Reduction reduction, const std::int64_t* counted) {
  launch("loss_backward", loss_backward_kernel<G, T>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
         gradient, dx, dy, n, reduction, counted);
}

/// Registers a loss and its gradients.
template <class T, class F, class... G>
bool register_loss() {
  return tandem::detail::register_kernel<&loss_forward<F, T>>("loss_forward") &&
         (tandem::detail::register_kernel<&loss_backward<G, T>>("loss_backward") && ...);
}

}  // namespace tandem_kernels
