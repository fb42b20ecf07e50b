/// layer_norm — y = (x − μ)/√(σ² + ε)·γ + β over a row of n.                [Ba et al. 2016, eq. 4]
///   dx = (1/σ)(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ;   dγ = Σ dy·x̂;   dβ = Σ dy.
/// Forward and dx: one block per row, two centred passes. dγ and dβ: one thread per column and slice of
/// rows, slices added in order: no atomics, the same bits every time.

#include "common.cuh"

namespace tandem_kernels {

template <class T>
__global__ void layer_norm_kernel(T* y, T* mean, T* inverse, const T* x, const T* gamma, const T* beta,
                                  std::int64_t rows, std::int64_t n, T epsilon) {
  TANDEM_SHARED(T, partial, 32);
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* in = x + row * n;
    T sum = 0;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += in[i];
    const T mu = block_sum(sum, partial) / T(n);
    T squares = 0;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const T d = in[i] - mu;
      squares += d * d;
    }
    const T scale = T(1) / sqrt(block_sum(squares, partial) / T(n) + epsilon);
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      T value = (in[i] - mu) * scale;
      if (gamma != nullptr) value *= gamma[i];
      if (beta != nullptr) value += beta[i];
      y[row * n + i] = value;
    }
    if (threadIdx.x == 0) {
      mean[row] = mu;
      inverse[row] = scale;
    }
  }
}

template <class T>
__global__ void layer_norm_dx_kernel(T* dx, const T* dy, const T* x, const T* mean, const T* inverse,
                                     const T* gamma, std::int64_t rows, std::int64_t n) {
  TANDEM_SHARED(T, partial, 32);
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t at = row * n;
    const T mu = mean[row], scale = inverse[row];
    T sum = 0, product = 0;
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const T g = gamma != nullptr ? dy[at + i] * gamma[i] : dy[at + i];
      sum += g;
      product += g * ((x[at + i] - mu) * scale);
    }
    const T mean_g = block_sum(sum, partial) / T(n), mean_gx = block_sum(product, partial) / T(n);
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const T g = gamma != nullptr ? dy[at + i] * gamma[i] : dy[at + i];
      dx[at + i] = scale * (g - mean_g - (x[at + i] - mu) * scale * mean_gx);
    }
  }
}

/// Block (32, 8): 32 columns, 8 slices of rows.
template <class T>
__global__ void layer_norm_parameters_kernel(T* dgamma, T* dbeta, const T* dy, const T* x, const T* mean,
                                             const T* inverse, std::int64_t rows, std::int64_t n) {
  TANDEM_SHARED(T, gammas, 256);
  TANDEM_SHARED(T, betas, 256);
  const std::int64_t column = std::int64_t{blockIdx.x} * 32 + threadIdx.x;
  T sum_gamma = 0, sum_beta = 0;
  if (column < n) {
    for (std::int64_t row = threadIdx.y; row < rows; row += 8) {
      const T g = dy[row * n + column];
      sum_gamma += g * (x[row * n + column] - mean[row]) * inverse[row];
      sum_beta += g;
    }
  }
  gammas[threadIdx.y * 32 + threadIdx.x] = sum_gamma;
  betas[threadIdx.y * 32 + threadIdx.x] = sum_beta;
  __syncthreads();
  if (threadIdx.y != 0 || column >= n) return;
  for (int slice = 1; slice < 8; ++slice) {
    sum_gamma += gammas[slice * 32 + threadIdx.x];
    sum_beta += betas[slice * 32 + threadIdx.x];
  }
  dgamma[column] = sum_gamma;
  dbeta[column] = sum_beta;
}

template <class T>
void layer_norm(tandem::cuda::Stream stream, T* y, T* mean, T* inverse, const T* x, const T* gamma,
                const T* beta, std::int64_t rows, std::int64_t n, T epsilon) {
  tandem::cuda::launch(layer_norm_kernel<T>, dim3(blocks_for(rows, 1)), dim3(n >= 256 ? 256 : 64), 0,
                       stream, y, mean, inverse, x, gamma, beta, rows, n, epsilon);
}
template <class T>
void layer_norm_backward(tandem::cuda::Stream stream, T* dx, T* dgamma, T* dbeta, const T* dy, const T* x,
                         const T* mean, const T* inverse, const T* gamma, std::int64_t rows,
                         std::int64_t n) {
  if (dx != nullptr) {
    tandem::cuda::launch(layer_norm_dx_kernel<T>, dim3(blocks_for(rows, 1)), dim3(n >= 256 ? 256 : 64), 0,
                         stream, dx, dy, x, mean, inverse, gamma, rows, n);
  }
  if (dgamma != nullptr) {
    tandem::cuda::launch(layer_norm_parameters_kernel<T>,
                         dim3(static_cast<unsigned>((n + 31) / 32)), dim3(32, 8), 0, stream, dgamma,
                         dbeta, dy, x, mean, inverse, rows, n);
  }
}

template void layer_norm<float>(tandem::cuda::Stream, float*, float*, float*, const float*, const float*,
                                const float*, std::int64_t, std::int64_t, float);
template void layer_norm<double>(tandem::cuda::Stream, double*, double*, double*, const double*,
                                 const double*, const double*, std::int64_t, std::int64_t, double);
template void layer_norm_backward<float>(tandem::cuda::Stream, float*, float*, float*, const float*,
                                         const float*, const float*, const float*, const float*,
                                         std::int64_t, std::int64_t);
template void layer_norm_backward<double>(tandem::cuda::Stream, double*, double*, double*, const double*,
                                          const double*, const double*, const double*, const double*,
                                          std::int64_t, std::int64_t);

}  // namespace tandem_kernels
