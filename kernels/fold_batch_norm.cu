/// fold_batch_norm — W′[o, …] = W[o, …]·γ[o]·s[o],   b′ = (b − μ)·γ·s + β,   s = 1/√(σ² + ε).
///
/// A block has an output channel. In double, as on the CPU: it is done once for a network.
/// Reads and writes the weight once: bound by memory.

#include "common.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

template <class T, class Part>
__global__ void __launch_bounds__(256)
    fold_batch_norm_kernel(T* folded, T* folded_bias, const T* weight, const T* bias,
                           const T* gamma, const T* beta, const T* mean, const T* variance,
                           std::int64_t out, std::int64_t each, Part epsilon) {
  for (std::int64_t o = blockIdx.x; o < out; o += gridDim.x) {
    const Part scale = (gamma != nullptr ? static_cast<Part>(gamma[o]) : Part(1)) /
                       tandem::formula::sqrt(static_cast<Part>(variance[o]) + epsilon);
    for (std::int64_t i = o * each + threadIdx.x; i < (o + 1) * each; i += blockDim.x)
      folded[i] = static_cast<T>(static_cast<Part>(weight[i]) * scale);
    if (threadIdx.x == 0) {
      const Part before = bias != nullptr ? static_cast<Part>(bias[o]) : Part(0),
                 shift = beta != nullptr ? static_cast<Part>(beta[o]) : Part(0);
      folded_bias[o] = static_cast<T>((before - static_cast<Part>(mean[o])) * scale + shift);
    }
  }
}

template <class T>
void fold_batch_norm_forward(Queue& queue, T* folded, T* folded_bias, const T* weight,
                             const T* bias, const T* gamma, const T* beta, const T* mean,
                             const T* variance, std::int64_t out, std::int64_t each,
                             double epsilon) {
  launch("fold_batch_norm", fold_batch_norm_kernel<T, double>, dim3(blocks_for(out, 1)), dim3(256),
         0, queue, folded, folded_bias, weight, bias, gamma, beta, mean, variance, out, each,
         epsilon);
}
TANDEM_KERNEL(fold_batch_norm_forward, float, double);

}  // namespace tandem_kernels
