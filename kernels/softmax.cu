/// softmax     — y = e^(x − m)/Σ e^(x − m), m = max x;   dx = y·(dy − Σ dy·y)
/// log_softmax — y = (x − m) − log Σ e^(x − m);          dx = dy − e^y·Σ dy
///
/// Along the middle dimension of (outer, n, inner). inner = 1: a warp or a block has a row in its
/// registers, which is read once; otherwise a thread has a column, whose neighbours lie beside it,
/// and reads it three times. Entries of −∞ take no part; where none does, y is 0 (−∞) and dx 0.
/// Bound by memory.

#include "reduce.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;

template <bool Log, class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    softmax_rows_kernel(T* y, const T* x, std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r);
    T top = team.top(row);
    if (top == -INFINITY) top = 0;  // nothing takes part
    const T sum = team.exponentials(row, top);
    const T factor = Log ? (sum == 0 ? T(0) : formula::log(sum)) : sum == 0 ? T(0) : 1 / sum;
    const auto result = [&](std::int64_t, T v) {
      return Log ? v - top - factor : formula::exp(v - top) * factor;
    };
    team.write(y, r, result, row);
  });
}

template <bool Log, class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    softmax_rows_backward_kernel(T* dx, const T* y, const T* dy, std::int64_t rows,
                                 std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto p = team.load(y, r), g = team.load(dy, r);
    T sum = 0;
    team.each([&](std::int64_t, T v, T d) { sum += Log ? (v > -INFINITY ? d : T(0)) : v * d; }, p,
              g);
    sum = team.sum(sum);
    const auto gradient = [&](std::int64_t, T v, T d) {
      return Log ? (v > -INFINITY ? d - formula::exp(v) * sum : T(0)) : v * (d - sum);
    };
    team.write(dx, r, gradient, p, g);
  });
}

template <bool Log, class T>
__global__ void softmax_columns_kernel(T* y, const T* x, std::int64_t outer, std::int64_t n,
                                       std::int64_t inner) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * inner;
       c += step) {
    const std::int64_t at = c / inner * n * inner + c % inner;
    T top = -INFINITY, sum = 0;
    for (std::int64_t i = 0; i < n; ++i) top = formula::max_nan(top, x[at + i * inner]);
    if (top == -INFINITY) top = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += formula::exp(x[at + i * inner] - top);
    const T factor = Log ? (sum == 0 ? T(0) : formula::log(sum)) : sum == 0 ? T(0) : 1 / sum;
    for (std::int64_t i = 0; i < n; ++i) {
      const T v = x[at + i * inner] - top;
      y[at + i * inner] = Log ? v - factor : formula::exp(v) * factor;
    }
  }
}

template <bool Log, class T>
__global__ void softmax_columns_backward_kernel(T* dx, const T* y, const T* dy, std::int64_t outer,
                                                std::int64_t n, std::int64_t inner) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * inner;
       c += step) {
    const std::int64_t at = c / inner * n * inner + c % inner;
    T sum = 0;
    for (std::int64_t i = at; i < at + n * inner; i += inner) {
      sum += Log ? (y[i] > -INFINITY ? dy[i] : T(0)) : y[i] * dy[i];
    }
    for (std::int64_t i = at; i < at + n * inner; i += inner) {
      dx[i] =
          Log ? (y[i] > -INFINITY ? dy[i] - formula::exp(y[i]) * sum : T(0)) : y[i] * (dy[i] - sum);
    }
  }
}

template <bool Log, class T>
void softmax_of(Queue& queue, T* y, const T* x, std::int64_t outer, std::int64_t n,
                std::int64_t inner) {
  if (inner != 1) {
    return launch("softmax", softmax_columns_kernel<Log, T>, dim3(blocks_for(outer * inner, 128)),
                  dim3(128), 0, queue, y, x, outer, n, inner);
  }
  const RowPlan plan = plan_rows<T>(outer, n, aligned(x, y));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("softmax", softmax_rows_kernel<Log, T, W, block>, plan.grid, plan.threads, 0, queue, y,
           x, outer, n);
  });
}
template <bool Log, class T>
void softmax_gradient(Queue& queue, T* dx, const T* y, const T* dy, std::int64_t outer,
                      std::int64_t n, std::int64_t inner) {
  if (inner != 1) {
    return launch("softmax_backward", softmax_columns_backward_kernel<Log, T>,
                  dim3(blocks_for(outer * inner, 128)), dim3(128), 0, queue, dx, y, dy, outer, n,
                  inner);
  }
  const RowPlan plan = plan_rows<T>(outer, n, aligned(dx, y, dy));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("softmax_backward", softmax_rows_backward_kernel<Log, T, W, block>, plan.grid,
           plan.threads, 0, queue, dx, y, dy, outer, n);
  });
}

template <class T>
void softmax_forward(Queue& queue, T* y, const T* x, std::int64_t outer, std::int64_t n,
                     std::int64_t inner) {
  softmax_of<false>(queue, y, x, outer, n, inner);
}
template <class T>
void softmax_backward(Queue& queue, T* dx, const T* y, const T* dy, std::int64_t outer,
                      std::int64_t n, std::int64_t inner) {
  softmax_gradient<false>(queue, dx, y, dy, outer, n, inner);
}
template <class T>
void log_softmax_forward(Queue& queue, T* y, const T* x, std::int64_t outer, std::int64_t n,
                         std::int64_t inner) {
  softmax_of<true>(queue, y, x, outer, n, inner);
}
template <class T>
void log_softmax_backward(Queue& queue, T* dx, const T* y, const T* dy, std::int64_t outer,
                          std::int64_t n, std::int64_t inner) {
  softmax_gradient<true>(queue, dx, y, dy, outer, n, inner);
}
TANDEM_KERNEL(softmax_forward, float, double);
TANDEM_KERNEL(softmax_backward, float, double);
TANDEM_KERNEL(log_softmax_forward, float, double);
TANDEM_KERNEL(log_softmax_backward, float, double);

}  // namespace tandem_kernels
