/// batch_norm — y = (x − μ)·s·γ + β per channel, s = 1/√(σ² + ε);   dγ = Σ dy·x̂;   dβ = Σ dy;
///   dx = γ·s·(dy − mean(dy) − x̂·mean(dy·x̂)), or γ·s·dy where μ and σ² are constants.
///
/// In training x is read three times: for μ, for σ² around it and what rounding left of μ, for y.
/// Backward reads x and dy twice. Sums in a fixed order (channels.cuh), those of floats in float.
/// Bound by memory.

#include "channels.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

/// x − μ and its square.
template <class T>
struct Deviations {
  const T *x, *mean;
  __device__ void operator()(std::int64_t at, std::int64_t c, T (&out)[2]) const {
    const T d = x[at] - mean[c];
    out[0] = d;
    out[1] = d * d;
  }
};
/// dy and dy·(x − μ).
template <class T>
struct GradientTerms {
  const T *dy, *x, *mean;
  __device__ void operator()(std::int64_t at, std::int64_t c, T (&out)[2]) const {
    out[0] = dy[at];
    out[1] = dy[at] * (x[at] - mean[c]);
  }
};

template <class T>
__global__ void batch_norm_mean_kernel(T* mean, const T* sums, std::int64_t channels, T n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < channels;
       c += step) {
    mean[c] = sums[c] / n;
  }
}
/// s of each channel in the place of σ²; in training from the sums of the deviations from μ, with
/// the unbiased variance. Their own mean is what the sum of x lost to rounding; μ gets it back.
template <class T>
__global__ void batch_norm_scale_kernel(T* scale, T* mean, T* variance, const T* deviations,
                                        std::int64_t channels, T n, T epsilon) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < channels;
       c += step) {
    T spread = scale[c];
    if (deviations != nullptr) {
      const T lost = deviations[c] / n, squares = deviations[channels + c] - lost * deviations[c];
      mean[c] += lost;
      variance[c] = squares / (n - 1);
      spread = squares / n;
    }
    scale[c] = 1 / tandem::formula::sqrt(spread + epsilon);
  }
}

template <class T>
struct Normalized {
  const T *x, *mean, *scale, *gamma, *beta;
  __device__ T operator()(std::int64_t at, std::int64_t c) const {
    const T factor = gamma != nullptr ? scale[c] * gamma[c] : scale[c];
    return (x[at] - mean[c]) * factor + (beta != nullptr ? beta[c] : T(0));
  }
};

/// dβ and dγ from Σ dy and Σ dy·(x − μ).
template <class T>
__global__ void batch_norm_parameters_kernel(T* dgamma, T* dbeta, const T* sums, const T* scale,
                                             std::int64_t channels) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < channels;
       c += step) {
    dbeta[c] = sums[c];
    dgamma[c] = sums[channels + c] * scale[c];
  }
}
template <class T>
struct InputGradient {
  const T *dy, *x, *mean, *scale, *gamma, *dgamma, *dbeta;
  T n;
  bool constant;
  __device__ T operator()(std::int64_t at, std::int64_t c) const {
    const T unit = scale[c], factor = gamma != nullptr ? unit * gamma[c] : unit;
    if (constant) return dy[at] * factor;
    const T hat = (x[at] - mean[c]) * unit;
    return (dy[at] - dbeta[c] / n - hat * (dgamma[c] / n)) * factor;
  }
};

template <class T, class Part>
__global__ void batch_norm_follow_kernel(T* next, const T* running, const T* now, std::int64_t n,
                                         Part momentum) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < n; c += step) {
    next[c] = static_cast<T>((1 - momentum) * static_cast<Part>(running[c]) +
                             momentum * static_cast<Part>(now[c]));
  }
}

template <class T>
void batch_norm_forward(Queue& queue, T* y, T* stats, T* variance, const T* x, const T* gamma,
                        const T* beta, std::int64_t outer, std::int64_t channels,
                        std::int64_t inner, double epsilon, bool training) {
  T *const mean = stats, *const scale = stats + channels;
  const T n = static_cast<T>(outer * inner);
  const dim3 grid(blocks_for(channels, 256)), block(256);
  const Scratch<T> sums(queue, training ? 2 * channels : 0);
  if (training) {
    channel_sums<T, 1>(queue, ChannelElement<T>{x}, sums.data(), outer, channels, inner);
    launch("batch_norm_mean", batch_norm_mean_kernel<T>, grid, block, 0, queue, mean, sums.data(),
           channels, n);
    channel_sums<T, 2>(queue, Deviations<T>{x, mean}, sums.data(), outer, channels, inner);
  }
  launch("batch_norm_scale", batch_norm_scale_kernel<T>, grid, block, 0, queue, scale, mean,
         variance, sums.data(), channels, n, static_cast<T>(epsilon));
  channel_map(queue, Normalized<T>{x, mean, scale, gamma, beta}, y, outer, channels, inner);
}
template <class T>
void batch_norm_backward(Queue& queue, T* dx, T* dgamma, T* dbeta, const T* dy, const T* x,
                         const T* gamma, const T* stats, std::int64_t outer, std::int64_t channels,
                         std::int64_t inner, bool constant) {
  const T *const mean = stats, *const scale = stats + channels;
  const Scratch<T> sums(queue, 2 * channels);
  channel_sums<T, 2>(queue, GradientTerms<T>{dy, x, mean}, sums.data(), outer, channels, inner);
  launch("batch_norm_parameters", batch_norm_parameters_kernel<T>, dim3(blocks_for(channels, 256)),
         dim3(256), 0, queue, dgamma, dbeta, sums.data(), scale, channels);
  if (dx == nullptr) return;
  channel_map(queue,
              InputGradient<T>{.dy = dy,
                               .x = x,
                               .mean = mean,
                               .scale = scale,
                               .gamma = gamma,
                               .dgamma = dgamma,
                               .dbeta = dbeta,
                               .n = static_cast<T>(outer * inner),
                               .constant = constant},
              dx, outer, channels, inner);
}
template <class T>
void batch_norm_follow(Queue& queue, T* next, const T* running, const T* now, std::int64_t n,
                       double momentum) {
  launch("batch_norm_follow", batch_norm_follow_kernel<T, double>, dim3(blocks_for(n, 256)),
         dim3(256), 0, queue, next, running, now, n, momentum);
}
TANDEM_KERNEL(batch_norm_forward, float, double);
TANDEM_KERNEL(batch_norm_backward, float, double);
TANDEM_KERNEL(batch_norm_follow, float, double);

}  // namespace tandem_kernels
