/// logsumexp — y = m + ln Σ e^(x − m), m = max x;   dx = dy·e^(x − y).
///
/// Along the middle dimension of (outer, n, inner). inner = 1: a warp or a block has a row in its
/// registers, which is read once; otherwise a thread has a column, whose neighbours lie beside it,
/// and reads it twice. A largest of ±∞ or NaN is the result. Bound by memory. The gradient is a
/// formula of an element (map.cuh).

#include "map.cuh"
#include "reduce.cuh"
#include "tandem/formula/logsumexp.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most,
                                  sizeof(T) == 8 ? Team<block>::least_of_double : 0)
    logsumexp_rows_kernel(T* y, const T* x, std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r);
    const T top = team.top(row);
    const bool finite = top - top == 0;
    const T shift = finite ? top : T(0);  // without a finite one the sum is not used
    const T result = shift + formula::log(team.exponentials(row, shift));
    if (team.leads()) y[r] = finite ? result : top;
  });
}

template <class T>
__global__ void logsumexp_columns_kernel(T* y, const T* x, std::int64_t outer, std::int64_t n,
                                         std::int64_t inner) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * inner;
       c += step) {
    const std::int64_t first = c / inner * n * inner + c % inner, end = first + n * inner;
    T top = -INFINITY, sum = 0;
    for (std::int64_t i = first; i < end; i += inner) top = formula::max_nan(top, x[i]);
    const bool finite = top - top == 0;
    if (finite) {
      for (std::int64_t i = first; i < end; i += inner) sum += formula::exp(x[i] - top);
    }
    y[c] = finite ? top + formula::log(sum) : top;
  }
}

template <class T>
void logsumexp_forward(Queue& queue, T* y, const T* x, std::int64_t outer, std::int64_t n,
                       std::int64_t inner) {
  if (inner != 1) {
    return launch("logsumexp", logsumexp_columns_kernel<T>, dim3(blocks_for(outer * inner, 128)),
                  dim3(128), 0, queue, y, x, outer, n, inner);
  }
  const RowPlan plan = plan_rows<T>(outer, n, aligned(x));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("logsumexp", logsumexp_rows_kernel<T, W, block>, plan.grid, plan.threads, 0, queue, y, x,
           outer, n);
  });
}
TANDEM_KERNEL(logsumexp_forward, float, double);

namespace {
using tandem::formula::LogSumExpGradient;
[[maybe_unused]] const bool registered =
    tandem::detail::register_kernel<&map_on_gpu<LogSumExpGradient, float, 3>>("map") &&
    tandem::detail::register_kernel<&map_on_gpu<LogSumExpGradient, double, 3>>("map");
}  // namespace

}  // namespace tandem_kernels
