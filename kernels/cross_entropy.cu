/// cross_entropy — of a row of logits: lse − x_t for the class t, or Σ_c t_c (lse − x_c);
///   dx = (softmax(x)·Σt − t)·g,  softmax(x) = e^(x − lse).
///
/// A warp or a block has a row in its registers, which is read once. How many rows take part is
/// counted when the losses are added (losses.cuh), and stays on the device. Bound by memory.

#include "losses.cuh"
#include "reduce.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;

/// log Σ eˣ of the row, in all of its threads.
template <class T, int W, bool block>
__device__ T row_lse(const RowTeam<T, W, block>& team, const Row<T, W, row_packs>& row) {
  const T top = team.top(row), shift = top == -INFINITY ? T(0) : top;
  return shift + formula::log(team.exponentials(row, shift));
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    cross_entropy_ids_kernel(T* losses, T* lse, bool* mask, const T* x, const std::int64_t* ids,
                             std::int64_t ignore, std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const T norm = row_lse(team, team.load(x, r));
    if (!team.leads()) return;
    const std::int64_t id = ids[r];
    const bool takes_part = mask == nullptr || id != ignore;
    if (mask != nullptr) mask[r] = takes_part;
    lse[r] = norm;
    losses[r] = !takes_part ? T(0) : id >= 0 && id < n ? norm - x[r * n + id] : missing<T>();
  });
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most,
                                  sizeof(T) == 8 ? Team<block>::least_of_double : 0)
    cross_entropy_ids_backward_kernel(T* dx, const T* dy, const T* x, const T* lse,
                                      const std::int64_t* ids, const bool* mask, std::int64_t rows,
                                      std::int64_t n, Reduction reduction,
                                      const std::int64_t* counted) {
  const bool each = reduction == Reduction::none;
  T common = 0;
  if (!each) common = reduced_loss(*dy, counted != nullptr ? *counted : rows, reduction);
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const std::int64_t id = ids[r];
    const bool skip = mask != nullptr && !mask[r];
    const T norm = lse[r], g = id < 0 || id >= n ? missing<T>() : each ? dy[r] : common;
    const auto gradient = [&](std::int64_t i, T v) {
      const T p = formula::exp(v - norm) * g;
      return skip ? T(0) : i == id ? p - g : p;
    };
    team.write(dx, r, gradient, team.load(x, r));
  });
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    cross_entropy_soft_kernel(T* losses, T* lse, const T* x, const T* t, std::int64_t rows,
                              std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r);
    const T norm = row_lse(team, row);
    T loss = 0;
    const auto add = [&](std::int64_t i, T v) {
      const T weight = t[r * n + i];
      loss += weight != 0 ? weight * (norm - v) : T(0);  // 0·∞ is 0 here
    };
    team.each(add, row);
    loss = team.sum(loss);
    if (team.leads()) {
      lse[r] = norm;
      losses[r] = loss;
    }
  });
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    cross_entropy_soft_backward_kernel(T* dx, const T* dy, const T* x, const T* lse, const T* t,
                                       std::int64_t rows, std::int64_t n, Reduction reduction) {
  const bool each = reduction == Reduction::none;
  T common = 0;
  if (!each) common = reduced_loss(*dy, rows, reduction);
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r), target = team.load(t, r);
    T total = 0;
    team.each([&](std::int64_t, T weight) { total += weight; }, target);
    total = team.sum(total);
    const T norm = lse[r], g = each ? dy[r] : common;
    const auto gradient = [&](std::int64_t, T v, T weight) {
      return (formula::exp(v - norm) * total - weight) * g;
    };
    team.write(dx, r, gradient, row, target);
  });
}

template <class T>
void cross_entropy_ids_forward(Queue& queue, T* losses, T* lse, bool* mask, const T* x,
                               const std::int64_t* ids, std::int64_t ignore, std::int64_t rows,
                               std::int64_t classes) {
  const RowPlan plan = plan_rows<T>(rows, classes, aligned(x));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("cross_entropy", cross_entropy_ids_kernel<T, W, block>, plan.grid, plan.threads, 0,
           queue, losses, lse, mask, x, ids, ignore, rows, classes);
  });
}
template <class T>
void cross_entropy_ids_backward(Queue& queue, T* dx, const T* dy, const T* x, const T* lse,
                                const std::int64_t* ids, const bool* mask, std::int64_t rows,
                                std::int64_t classes, Reduction reduction,
                                const std::int64_t* counted) {
  const RowPlan plan = plan_rows<T>(rows, classes, aligned(dx, x));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("cross_entropy_backward", cross_entropy_ids_backward_kernel<T, W, block>, plan.grid,
           plan.threads, 0, queue, dx, dy, x, lse, ids, mask, rows, classes, reduction, counted);
  });
}
template <class T>
void cross_entropy_soft_forward(Queue& queue, T* losses, T* lse, const T* x, const T* t,
                                std::int64_t rows, std::int64_t classes) {
  const RowPlan plan = plan_rows<T>(rows, classes, aligned(x, t));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("cross_entropy", cross_entropy_soft_kernel<T, W, block>, plan.grid, plan.threads, 0,
           queue, losses, lse, x, t, rows, classes);
  });
}
template <class T>
void cross_entropy_soft_backward(Queue& queue, T* dx, const T* dy, const T* x, const T* lse,
                                 const T* t, std::int64_t rows, std::int64_t classes,
                                 Reduction reduction) {
  const RowPlan plan = plan_rows<T>(rows, classes, aligned(dx, x, t));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("cross_entropy_backward", cross_entropy_soft_backward_kernel<T, W, block>, plan.grid,
           plan.threads, 0, queue, dx, dy, x, lse, t, rows, classes, reduction);
  });
}
TANDEM_KERNEL(cross_entropy_ids_forward, float, double);
TANDEM_KERNEL(cross_entropy_ids_backward, float, double);
TANDEM_KERNEL(cross_entropy_soft_forward, float, double);
TANDEM_KERNEL(cross_entropy_soft_backward, float, double);

namespace {
using tandem::formula::ComputedLoss;
[[maybe_unused]] const bool registered =
    register_loss<float, ComputedLoss<float>>() && register_loss<double, ComputedLoss<double>>();
}  // namespace

}  // namespace tandem_kernels
