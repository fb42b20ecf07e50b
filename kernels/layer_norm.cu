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
  using Threads = Team<block>;
  TANDEM_SHARED(T, partial, 32);
  const int rank = Threads::rank(), size = Threads::size();
  for (std::int64_t r = Threads::first_row(); r < rows; r += Threads::row_step()) {
    Row<T, W, row_packs> row;
    row.load(x + r * n, n, rank, size);
    T sum = 0, squares = 0;
    row.each(n, rank, size, [&](std::int64_t i, int slot) { sum += row.get(i, slot); });
    const T mean = Threads::sum(sum, partial) / T(n);
    row.each(n, rank, size, [&](std::int64_t i, int slot) {
      const T d = row.get(i, slot) - mean;
      squares += d * d;
    });
    const T scale = T(1) / tandem::formula::sqrt(Threads::sum(squares, partial) / T(n) + eps);
    row.write(y + r * n, n, rank, size, [&](std::int64_t i, int slot) {
      const T unit = (row.get(i, slot) - mean) * scale;
      return (gamma != nullptr ? unit * gamma[i] : unit) + (beta != nullptr ? beta[i] : T(0));
    });
    if (rank == 0) {
      stats[2 * r] = mean;
      stats[2 * r + 1] = scale;
    }
  }
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    layer_norm_dx_kernel(T* dx, const T* dy, const T* x, const T* stats, const T* gamma,
                         std::int64_t rows, std::int64_t n) {
  using Threads = Team<block>;
  TANDEM_SHARED(T, partial, 32);
  const int rank = Threads::rank(), size = Threads::size();
  for (std::int64_t r = Threads::first_row(); r < rows; r += Threads::row_step()) {
    const T mean = stats[2 * r], scale = stats[2 * r + 1];
    Row<T, W, row_packs> in, g;
    in.load(x + r * n, n, rank, size);
    g.load(dy + r * n, n, rank, size);
    const auto unit = [&](std::int64_t i, int slot) { return (in.get(i, slot) - mean) * scale; };
    const auto scaled = [&](std::int64_t i, int slot) {
      return gamma != nullptr ? g.get(i, slot) * gamma[i] : g.get(i, slot);
    };
    T sum = 0, product = 0;
    in.each(n, rank, size, [&](std::int64_t i, int slot) {
      const T d = scaled(i, slot);
      sum += d;
      product += d * unit(i, slot);
    });
    const T g_mean = Threads::sum(sum, partial) / T(n),
            gx_mean = Threads::sum(product, partial) / T(n);
    in.write(dx + r * n, n, rank, size, [&](std::int64_t i, int slot) {
      return (scaled(i, slot) - g_mean - unit(i, slot) * gx_mean) * scale;
    });
  }
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
