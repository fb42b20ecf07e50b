/// log_odds — l_c = s_c − log Σ_{j≠c} e^{s_j} of a row, and ds_j = g_j − e_j·Σ_{c≠j} g_c/r_c
/// (include/tandem/wtal/rivals/log_odds.hpp).
///
/// A warp or a block has a row in its registers, which is read once. The formula is the CPU's
/// (formula/log_odds.hpp), in T. Bound by memory.

#include "reduce.cuh"
#include "tandem/formula/log_odds.hpp"

namespace tandem_kernels {

/// What the entries of a row have in common.
template <class T, int W, bool block>
__device__ tandem::formula::LogOdds<T> odds_of(const RowTeam<T, W, block>& team,
                                               const Row<T, W, row_packs>& row) {
  tandem::formula::LogOdds<T> odds;
  odds.top = team.top(row);
  team.each([&](std::int64_t, T s) { odds.look(s); }, row);
  odds.tops = team.sum(odds.tops);
  odds.second = team.max(odds.second);
  T below = 0;
  team.each([&](std::int64_t, T s) { below += odds.share(s); }, row);
  odds.below = team.sum(below);
  odds.finish();
  return odds;
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    log_odds_kernel(T* y, const T* x, std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r);
    const auto odds = odds_of(team, row);
    team.write(
        y, r, [&](std::int64_t, T s) { return odds.odds(s, odds.share(s)); }, row);
  });
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    log_odds_backward_kernel(T* dx, const T* x, const T* dy, std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r), g = team.load(dy, r);
    auto odds = odds_of(team, row);
    T shares = 0, of_top = 0;  // Σ g_c/r_c of those that are not alone; g of the one that is
    const auto add = [&](std::int64_t, T s, T d) {
      if (odds.alone(s)) {
        of_top += d;
      } else {
        shares += d / odds.rest(s, odds.share(s));
      }
    };
    team.each(add, row, g);
    shares = team.sum(shares);
    of_top = team.sum(of_top);
    if (odds.below > 0) odds.pull = of_top / odds.below;
    const auto gradient = [&](std::int64_t, T s, T d) {
      return odds.gradient(s, odds.share(s), d, shares);
    };
    team.write(dx, r, gradient, row, g);
  });
}

template <class T>
void log_odds_forward(Queue& queue, T* y, const T* s, std::int64_t rows, std::int64_t n) {
  if (rows == 0) return;
  const RowPlan plan = plan_rows<T>(rows, n, aligned(y, s));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("log_odds", log_odds_kernel<T, W, block>, plan.grid, plan.threads, 0, queue, y, s, rows,
           n);
  });
}
template <class T>
void log_odds_backward(Queue& queue, T* ds, const T* s, const T* dy, std::int64_t rows,
                       std::int64_t n) {
  if (rows == 0) return;
  const RowPlan plan = plan_rows<T>(rows, n, aligned(ds, s, dy));
  with_plan<T>(plan, [&]<int W, bool block>() {
    launch("log_odds_backward", log_odds_backward_kernel<T, W, block>, plan.grid, plan.threads, 0,
           queue, ds, s, dy, rows, n);
  });
}
TANDEM_KERNEL(log_odds_forward, float, double);
TANDEM_KERNEL(log_odds_backward, float, double);

}  // namespace tandem_kernels
