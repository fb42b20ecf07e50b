#pragma once
/// The passes around the product of a linear layer, for linear.cu and linear_bf16.cu: factors are
/// rounded before it, and one pass over C (m, n) follows. Bound by memory.

#include "fragments.cuh"
#include "runtime.cuh"
#include "tandem/formula/activation.hpp"

namespace tandem_kernels {

using tandem::Activation;
using tandem::bfloat16;
using tandem::cpu::Epilogue;
using tandem::cpu::Trans;

/// Two neighbours of a row a thread; `to`, and to_step if there are several rows, are even.
template <class T>
__global__ void linear_round_kernel(bfloat16* to, std::int64_t to_step, const T* from,
                                    std::int64_t from_step, std::int64_t rows,
                                    std::int64_t columns) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x, across = (columns + 1) / 2;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * across;
       i += step) {
    const std::int64_t row = i / across, column = i % across * 2;
    const T* const x = from + row * from_step + column;
    bfloat16* const y = to + row * to_step + column;
    if (column + 1 < columns) {
      *reinterpret_cast<std::uint32_t*>(y) = rounded_pair(x[0], x[1]);
    } else {
      *y = bfloat16(x[0]);
    }
  }
}
/// to = from, rounded to bfloat16.
inline void round_rows(Queue& queue, bfloat16* to, std::int64_t to_step, const float* from,
                       std::int64_t from_step, std::int64_t rows, std::int64_t columns) {
  launch("linear_round", linear_round_kernel<float>,
         dim3(blocks_for(rows * ((columns + 1) / 2), 256)), dim3(256), 0, queue, to, to_step, from,
         from_step, rows, columns);
}

/// W neighbours of a row a thread; n, the leading dimensions and the pointers are multiples of W.
template <class T, int W>
__global__ void linear_epilogue_kernel(T* c, std::int64_t ldc, std::int64_t rows, std::int64_t n,
                                       Epilogue<T> e) {
  using P = Pack<T, W>;
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x, across = n / W;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * across;
       i += step) {
    const std::int64_t row = i / across, column = i % across * W;
    P x = *reinterpret_cast<const P*>(c + row * ldc + column);
    if (e.bias != nullptr) {
      const P b = *reinterpret_cast<const P*>(e.bias + column);
      for (int w = 0; w < W; ++w) x.value[w] += b.value[w];
    }
    if (e.pre_activation != nullptr)
      *reinterpret_cast<P*>(e.pre_activation + row * e.ld_pre + column) = x;
    for (int w = 0; w < W; ++w) x.value[w] = tandem::formula::activate(e.activation, x.value[w]);
    if (e.residual != nullptr) {
      const P r = *reinterpret_cast<const P*>(e.residual + row * e.ld_residual + column);
      for (int w = 0; w < W; ++w) x.value[w] += r.value[w];
    }
    *reinterpret_cast<P*>(c + row * ldc + column) = x;
  }
}

/// `biased`: C has the bias already.
template <class T>
void finish_linear(Queue& queue, std::int64_t m, std::int64_t n, T* c, std::int64_t ldc,
                   Epilogue<T> epilogue, bool biased) {
  if (biased) epilogue.bias = nullptr;
  if (epilogue.empty()) return;
  constexpr int W = pack_size<T>;
  const bool packs = aligned(c, epilogue.bias, epilogue.pre_activation, epilogue.residual) &&
                     n % W == 0 && ldc % W == 0 && epilogue.ld_pre % W == 0 &&
                     epilogue.ld_residual % W == 0;
  launch("linear_epilogue", packs ? linear_epilogue_kernel<T, W> : linear_epilogue_kernel<T, 1>,
         dim3(blocks_for(m * n, packs ? 256 * W : 256)), dim3(256), 0, queue, c, ldc, m, n,
         epilogue);
}

}  // namespace tandem_kernels
