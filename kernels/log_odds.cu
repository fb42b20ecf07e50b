/// log_odds — l_c = s_c − log Σ_{j≠c} e^{s_j} of a row, and ds_j = g_j − e_j·Σ_{c≠j} g_c/r_c
/// (include/tandem/wtal/rivals/log_odds.hpp).
///
/// A warp or a block has a row in its registers, which is read once. The CPU adds in double what a float
/// of the kernel does not hold: so the sum without the largest entry is kept beside the entry that is
/// largest then, L = s₂ + log Σ_{j≠top} e^{s_j − s₂}, and the others' sums contain the largest
/// one's 1. Where several are largest, all sums do. Bound by memory.

#include "reduce.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;

/// What the entries of a row have in common.
template <class T>
struct OddsOfRow {
  T top, tops;      ///< the largest, and how many are
  T second, below;  ///< the largest of the others, and their Σ e^{s − second}
  T small;          ///< the same, Σ e^{s − top}

  /// −log of the smallest sum that the CPU knows.
  static constexpr T most = T(690.77552789821368);

  template <class Team, class R>
  __device__ void read(const Team& team, const R& row) {
    top = team.top(row);
    second = -INFINITY;
    tops = below = 0;
    const auto look = [&](std::int64_t, T s) {
      if (s == top) {
        tops += 1;
      } else {
        second = formula::max_nan(second, s);
      }
    };
    team.each(look, row);
    tops = team.sum(tops);
    second = team.max(second);
    const auto add = [&](std::int64_t, T s) {
      if (s != top && s > -INFINITY) below += formula::exp(s - second);
    };
    team.each(add, row);
    below = team.sum(below);
    small = below > 0 ? below * formula::exp(second - top) : T(0);
  }
  /// Whether s is the only largest one.
  __device__ bool alone(T s) const { return s == top && tops == 1; }
  /// Its log odds: log Σ of the others is `top` less this.
  __device__ T lead() const {
    if (!(below > 0)) return most;
    const T odds = top - second - formula::log(below);
    return odds > most ? most : odds;
  }
  /// Σ_{i≠c} e^{s_i − top} of an entry s that is not alone.
  __device__ T rest(T s) const {
    return s == top ? tops - 1 + small : tops + small - formula::exp(s - top);
  }
};

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    log_odds_kernel(T* y, const T* x, std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r);
    OddsOfRow<T> odds;
    odds.read(team, row);
    const auto result = [&](std::int64_t, T s) {
      return odds.alone(s) ? odds.lead() : s - odds.top - formula::log(odds.rest(s));
    };
    team.write(y, r, result, row);
  });
}

template <class T, int W, bool block>
__global__ void __launch_bounds__(Team<block>::most)
    log_odds_backward_kernel(T* dx, const T* x, const T* dy, std::int64_t rows, std::int64_t n) {
  for_rows<T, W, block>(rows, n, [&](const auto& team, std::int64_t r) {
    const auto row = team.load(x, r), g = team.load(dy, r);
    OddsOfRow<T> odds;
    odds.read(team, row);
    T shares = 0, of_top = 0;  // Σ g_c/r_c of those that are not alone; g of the one that is
    const auto add = [&](std::int64_t, T s, T d) {
      if (odds.alone(s)) {
        of_top += d;
      } else {
        shares += d / odds.rest(s);
      }
    };
    team.each(add, row, g);
    shares = team.sum(shares);
    of_top = team.sum(of_top);
    const T by_top = odds.tops == 1 && odds.lead() < odds.most ? of_top / odds.below : T(0);
    const auto gradient = [&](std::int64_t, T s, T d) {
      if (odds.alone(s)) return d - shares;
      const T pull = by_top == 0 ? T(0) : formula::exp(s - odds.second) * by_top;
      return d - formula::exp(s - odds.top) * (shares - d / odds.rest(s)) - pull;
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
