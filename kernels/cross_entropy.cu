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
template <class Threads, class T, int W>
__device__ T row_lse(const Row<T, W, row_packs>& row, std::int64_t n, T* partial) {
  const int rank = Threads::rank(), size = Threads::size();
  T top = -INFINITY, sum = 0;
  row.each(n, rank, size,
           [&](std::int64_t i, int slot) { top = formula::max_nan(top, row.get(i, slot)); });
  top = Threads::max(top, partial);
  const T shift = top == -INFINITY ? T(0) : top;
  row.each(n, rank, size,
           [&](std::int64_t i, int slot) { sum += formula::exp(row.get(i, slot) - shift); });
  return shift + formula::log(Threads::sum(sum, partial));
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    cross_entropy_ids_kernel(T* losses, T* lse, bool* mask, const T* x, const std::int64_t* ids,
                             std::int64_t ignore, std::int64_t rows, std::int64_t n) {
  using Threads = Team<block>;
  TANDEM_SHARED(T, partial, 32);
  const int rank = Threads::rank(), size = Threads::size();
  for (std::int64_t r = Threads::first_row(); r < rows; r += Threads::row_step()) {
    Row<T, W, row_packs> row;
    row.load(x + r * n, n, rank, size);
    const T norm = row_lse<Threads>(row, n, partial);
    if (rank != 0) continue;
    const std::int64_t id = ids[r];
    const bool takes_part = mask == nullptr || id != ignore;
    if (mask != nullptr) mask[r] = takes_part;
    lse[r] = norm;
    losses[r] = !takes_part ? T(0) : id >= 0 && id < n ? norm - x[r * n + id] : missing<T>();
  }
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    cross_entropy_ids_backward_kernel(T* dx, const T* dy, const T* x, const T* lse,
                                      const std::int64_t* ids, const bool* mask, std::int64_t rows,
                                      std::int64_t n, Reduction reduction,
                                      const std::int64_t* counted) {
  using Threads = Team<block>;
  const int rank = Threads::rank(), size = Threads::size();
  const bool each = reduction == Reduction::none;
  T common = 0;
  if (!each) common = reduced_loss(*dy, counted != nullptr ? *counted : rows, reduction);
  for (std::int64_t r = Threads::first_row(); r < rows; r += Threads::row_step()) {
    Row<T, W, row_packs> row;
    row.load(x + r * n, n, rank, size);
    const std::int64_t id = ids[r];
    const bool skip = mask != nullptr && !mask[r];
    const T norm = lse[r], g = id < 0 || id >= n ? missing<T>() : each ? dy[r] : common;
    row.write(dx + r * n, n, rank, size, [&](std::int64_t i, int slot) {
      const T p = formula::exp(row.get(i, slot) - norm) * g;
      return skip ? T(0) : i == id ? p - g : p;
    });
  }
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    cross_entropy_soft_kernel(T* losses, T* lse, const T* x, const T* t, std::int64_t rows,
                              std::int64_t n) {
  using Threads = Team<block>;
  TANDEM_SHARED(T, partial, 32);
  const int rank = Threads::rank(), size = Threads::size();
  for (std::int64_t r = Threads::first_row(); r < rows; r += Threads::row_step()) {
    Row<T, W, row_packs> row;
    row.load(x + r * n, n, rank, size);
    const T norm = row_lse<Threads>(row, n, partial);
    T loss = 0;
    row.each(n, rank, size, [&](std::int64_t i, int slot) {
      const T weight = t[r * n + i];
      loss += weight != 0 ? weight * (norm - row.get(i, slot)) : T(0);  // 0·∞ is 0 here
    });
    loss = Threads::sum(loss, partial);
    if (rank == 0) {
      lse[r] = norm;
      losses[r] = loss;
    }
  }
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    cross_entropy_soft_backward_kernel(T* dx, const T* dy, const T* x, const T* lse, const T* t,
                                       std::int64_t rows, std::int64_t n, Reduction reduction) {
  using Threads = Team<block>;
  TANDEM_SHARED(T, partial, 32);
  const int rank = Threads::rank(), size = Threads::size();
  const bool each = reduction == Reduction::none;
  T common = 0;
  if (!each) common = reduced_loss(*dy, rows, reduction);
  for (std::int64_t r = Threads::first_row(); r < rows; r += Threads::row_step()) {
    Row<T, W, row_packs> row, target;
    row.load(x + r * n, n, rank, size);
    target.load(t + r * n, n, rank, size);
    T total = 0;
    target.each(n, rank, size, [&](std::int64_t i, int slot) { total += target.get(i, slot); });
    total = Threads::sum(total, partial);
    const T norm = lse[r], g = each ? dy[r] : common;
    row.write(dx + r * n, n, rank, size, [&](std::int64_t i, int slot) {
      return (formula::exp(row.get(i, slot) - norm) * total - target.get(i, slot)) * g;
    });
  }
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
