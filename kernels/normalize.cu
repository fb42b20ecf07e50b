/// normalize — y = x / max(‖x‖₂, ε);   dx = (dy − y·(y·dy))/‖x‖ where ‖x‖ > ε,  dy/ε elsewhere.
///
/// Along the middle dimension of (outer, n, inner). inner = 1: a warp or a block has a row in its
/// registers, which is read once; otherwise a thread has a column, whose neighbours lie beside it.
/// Bound by memory. Where Σx² leaves the range of T, the row is scaled by its largest |x| first, as
/// on the CPU.

#include <limits>

#include "reduce.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;

template <class T>
inline constexpr T least_squares = std::numeric_limits<T>::min() * T(281474976710656.0);
template <class T>
inline constexpr T most_squares = std::numeric_limits<T>::max();
/// Whether √Σx² is ‖x‖: the sum has neither overflowed nor lost bits to underflow (below 2⁴⁸
/// times the smallest normal number).
template <class T>
__device__ bool root_is_exact(T squares) {
  return squares >= least_squares<T> && squares <= most_squares<T>;
}
/// Whether a row whose largest |x| this is has a norm other than it: not 0, infinite or NaN.
template <class T>
__device__ bool can_be_scaled(T largest) {
  return largest > 0 && largest <= most_squares<T>;
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    normalize_rows_kernel(T* y, T* norms, const T* x, std::int64_t rows, std::int64_t n, T eps) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r);
    T squares = 0;
    team.each([&](std::int64_t, T v) { squares += v * v; }, row);
    squares = team.sum(squares);
    T norm = formula::sqrt(squares);
    if (!root_is_exact(squares)) {  // for all threads of the row or for none
      T largest = 0;
      team.each([&](std::int64_t, T v) { largest = formula::max_nan(formula::abs(v), largest); },
                row);
      norm = largest = team.max(largest);
      if (can_be_scaled(largest)) {
        T scaled = 0;
        team.each([&](std::int64_t, T v) { scaled += (v / largest) * (v / largest); }, row);
        norm = largest * formula::sqrt(team.sum(scaled));
      }
    }
    const bool small = norm <= eps;
    const T divisor = small ? eps : norm;
    team.write(
        y, r, [&](std::int64_t, T v) { return v / divisor; }, row);
    if (team.leads()) norms[r] = small ? -eps : norm;
  });
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    normalize_rows_backward_kernel(T* dx, const T* dy, const T* y, const T* norms,
                                   std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const T norm = norms[r], divisor = norm < 0 ? -norm : norm;
    const auto unit = team.load(y, r), g = team.load(dy, r);
    T along = 0;
    if (norm > 0) {
      team.each([&](std::int64_t, T v, T d) { along += v * d; }, unit, g);
      along = team.sum(along);
    }
    team.write(
        dx, r, [&](std::int64_t, T v, T d) { return (d - v * along) / divisor; }, unit, g);
  });
}

template <class T>
__global__ void normalize_columns_kernel(T* y, T* norms, const T* x, std::int64_t outer,
                                         std::int64_t n, std::int64_t inner, T eps) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * inner;
       c += step) {
    const std::int64_t first = c / inner * n * inner + c % inner, end = first + n * inner;
    T squares = 0;
    for (std::int64_t i = first; i < end; i += inner) squares += x[i] * x[i];
    T norm = formula::sqrt(squares);
    if (!root_is_exact(squares)) {
      T largest = 0;
      for (std::int64_t i = first; i < end; i += inner)
        largest = formula::max_nan(formula::abs(x[i]), largest);
      norm = largest;
      if (can_be_scaled(largest)) {
        T scaled = 0;
        for (std::int64_t i = first; i < end; i += inner)
          scaled += (x[i] / largest) * (x[i] / largest);
        norm = largest * formula::sqrt(scaled);
      }
    }
    const bool small = norm <= eps;
    const T divisor = small ? eps : norm;
    norms[c] = small ? -eps : norm;
    for (std::int64_t i = first; i < end; i += inner) y[i] = x[i] / divisor;
  }
}

template <class T>
__global__ void normalize_columns_backward_kernel(T* dx, const T* dy, const T* y, const T* norms,
                                                  std::int64_t outer, std::int64_t n,
                                                  std::int64_t inner) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * inner;
       c += step) {
    const std::int64_t first = c / inner * n * inner + c % inner, end = first + n * inner;
    const T norm = norms[c], divisor = norm < 0 ? -norm : norm;
    T along = 0;
    if (norm > 0) {
      for (std::int64_t i = first; i < end; i += inner) along += y[i] * dy[i];
    }
    for (std::int64_t i = first; i < end; i += inner) dx[i] = (dy[i] - y[i] * along) / divisor;
  }
}

template <class T>
void normalize_forward(Queue& queue, T* y, T* norms, const T* x, std::int64_t outer, std::int64_t n,
                       std::int64_t inner, T eps) {
  if (inner != 1) {
    return launch("normalize", normalize_columns_kernel<T>, dim3(blocks_for(outer * inner, 128)),
                  dim3(128), 0, queue, y, norms, x, outer, n, inner, eps);
  }
  const RowPlan plan = plan_rows<T>(outer, n, aligned(x, y));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("normalize", normalize_rows_kernel<T, W, block>, plan.grid, plan.threads, 0, queue, y,
           norms, x, outer, n, eps);
  });
}
template <class T>
void normalize_backward(Queue& queue, T* dx, const T* dy, const T* y, const T* norms,
                        std::int64_t outer, std::int64_t n, std::int64_t inner) {
  if (inner != 1) {
    return launch("normalize_backward", normalize_columns_backward_kernel<T>,
                  dim3(blocks_for(outer * inner, 128)), dim3(128), 0, queue, dx, dy, y, norms,
                  outer, n, inner);
  }
  const RowPlan plan = plan_rows<T>(outer, n, aligned(dx, dy, y));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("normalize_backward", normalize_rows_backward_kernel<T, W, block>, plan.grid,
           plan.threads, 0, queue, dx, dy, y, norms, outer, n);
  });
}
TANDEM_KERNEL(normalize_forward, float, double);
TANDEM_KERNEL(normalize_backward, float, double);

}  // namespace tandem_kernels
