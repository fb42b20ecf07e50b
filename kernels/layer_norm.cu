/// layer_norm — y = (x − μ)·s·γ + β over a row of n, s = 1/√(σ² + ε).       [Ba et al. 2016, eq. 4]
///   dx = s·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  x̂ = (x − μ)·s;   dγ = Σ dy·x̂;   dβ = Σ dy.
///
/// Forward and dx: a warp or a block has a row in its registers: x (and dy) are read once, two
/// centred passes. dγ and dβ: down the columns, a second read of x and dy. Bound by memory.

#include "reduce.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    layer_norm_kernel(T* y, T* stats, const T* x, const T* gamma, const T* beta, std::int64_t rows,
                      std::int64_t n, T eps) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r);
    T sum = 0, squares = 0;
    team.each([&](std::int64_t, T v) { sum += v; }, row);
    const T mean = team.sum(sum) / T(n);
    team.each([&](std::int64_t, T v) { squares += (v - mean) * (v - mean); }, row);
    const T scale = T(1) / tandem::formula::sqrt(team.sum(squares) / T(n) + eps);
    const auto result = [&](std::int64_t i, T v) {
      const T unit = (v - mean) * scale;
      return (gamma != nullptr ? unit * gamma[i] : unit) + (beta != nullptr ? beta[i] : T(0));
    };
    team.write(y, r, result, row);
    if (team.leads()) {
      stats[2 * r] = mean;
      stats[2 * r + 1] = scale;
    }
  });
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    layer_norm_dx_kernel(T* dx, const T* dy, const T* x, const T* stats, const T* gamma,
                         std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const T mean = stats[2 * r], scale = stats[2 * r + 1];
    const auto in = team.load(x, r), g = team.load(dy, r);
    const auto scaled = [&](std::int64_t i, T d) { return gamma != nullptr ? d * gamma[i] : d; };
    T sum = 0, product = 0;
    team.each(
        [&](std::int64_t i, T v, T d) {
          sum += scaled(i, d);
          product += scaled(i, d) * ((v - mean) * scale);
        },
        in, g);
    const T g_mean = team.sum(sum) / T(n), gx_mean = team.sum(product) / T(n);
    const auto gradient = [&](std::int64_t i, T v, T d) {
      return (scaled(i, d) - g_mean - (v - mean) * scale * gx_mean) * scale;
    };
    team.write(dx, r, gradient, in, g);
  });
}

/// dy·x̂ and dy of an element.
template <class T>
struct ParameterGradients {
  const T *dy, *x, *stats;
  std::int64_t n;
  __device__ void operator()(std::int64_t row, std::int64_t column, T (&out)[2]) const {
    const T g = dy[row * n + column];
    out[0] = g * ((x[row * n + column] - stats[2 * row]) * stats[2 * row + 1]);
    out[1] = g;
  }
};

template <class T>
void layer_norm_forward(Queue& queue, T* y, T* stats, const T* x, const T* gamma, const T* beta,
                        std::int64_t rows, std::int64_t n, T eps) {
  const RowPlan plan = plan_rows<T>(rows, n, aligned(x, y));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("layer_norm", layer_norm_kernel<T, W, block>, plan.grid, plan.threads, 0, queue, y,
           stats, x, gamma, beta, rows, n, eps);
  });
}
template <class T>
void layer_norm_backward(Queue& queue, T* dx, T* dgamma_dbeta, const T* dy, const T* x,
                         const T* stats, const T* gamma, std::int64_t rows, std::int64_t n) {
  if (dx != nullptr) {
    const RowPlan plan = plan_rows<T>(rows, n, aligned(dx, dy, x));
    with_plan<T>(plan, [&]<int W, bool block>() {
      launch("layer_norm_dx", layer_norm_dx_kernel<T, W, block>, plan.grid, plan.threads, 0, queue,
             dx, dy, x, stats, gamma, rows, n);
    });
  }
  if (dgamma_dbeta != nullptr)
    columns<T, 2>(queue, ParameterGradients<T>{dy, x, stats, n}, dgamma_dbeta, rows, n);
}
TANDEM_KERNEL(layer_norm_forward, float, double);
TANDEM_KERNEL(layer_norm_backward, float, double);

}  // namespace tandem_kernels
