#pragma once
/// log_odds — of a softmax, the logits whose sigmoids are its probabilities:
///   l_c = s_c − log Σ_{j≠c} exp(s_j),   σ(l_c) = softmax(s)_c.
///   ds_j = g_j − e_j·Σ_{c≠j} g_c/r_c,   e_j = exp(s_j), r_c = Σ_{i≠c} e_i.
///   s (…, K) → (…, K), K ≥ 2.  Saves s.  O(K) a row, in double (on a GPU in the type of s): only
///   the largest e can hide the rest in a sum, so what is without it is summed without it, relative
///   to the second largest (formula/log_odds.hpp).
///
/// So a method that says its P by a softmax over C + 1 classes teaches and learns with DCL's
/// Bernoulli losses as a branch with a sigmoid does: no probability is rounded to 1 on the way.

#include <cstdint>
#include <tuple>
#include <vector>

#include "tandem/formula/log_odds.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {
namespace detail {

/// What the entries of a row have in common, and the share of each.
struct OddsRow : tandem::formula::LogOdds<double> {
  template <class T>
  void read(const T* s, std::int64_t n) {
    tandem::formula::LogOdds<double>::operator=({});
    shares.resize(static_cast<std::size_t>(n));
    for (std::int64_t j = 0; j < n; ++j)
      top = tandem::formula::max_nan(top, static_cast<double>(s[j]));
    for (std::int64_t j = 0; j < n; ++j) look(static_cast<double>(s[j]));
    for (std::int64_t j = 0; j < n; ++j) {
      double& own = shares[static_cast<std::size_t>(j)];
      own = share(static_cast<double>(s[j]));
      below += own;
    }
    finish();
  }
  std::vector<double> shares;
};

template <class T>
void log_odds_on_cpu(T* y, const T* s, std::int64_t rows, std::int64_t n) {
  OddsRow row;
  for (std::int64_t r = 0; r < rows; ++r, s += n, y += n) {
    row.read(s, n);
    for (std::int64_t c = 0; c < n; ++c)
      y[c] = T(row.odds(static_cast<double>(s[c]), row.shares[static_cast<std::size_t>(c)]));
  }
}
template <class T>
void log_odds_backward_on_cpu(T* ds, const T* s, const T* dy, std::int64_t rows, std::int64_t n) {
  OddsRow row;
  for (std::int64_t r = 0; r < rows; ++r, s += n, dy += n, ds += n) {
    row.read(s, n);
    double all = 0;  // Σ g_c/r_c of those that are not alone
    for (std::int64_t c = 0; c < n; ++c) {
      const double score = static_cast<double>(s[c]), g = static_cast<double>(dy[c]);
      if (!row.alone(score)) {
        all += g / row.rest(score, row.shares[static_cast<std::size_t>(c)]);
      } else if (row.below > 0) {
        row.pull = g / row.below;
      }
    }
    for (std::int64_t j = 0; j < n; ++j) {
      ds[j] = T(row.gradient(static_cast<double>(s[j]), row.shares[static_cast<std::size_t>(j)],
                             static_cast<double>(dy[j]), all));
    }
  }
}

/// y (rows, n) from s (rows, n).
template <class T>
inline const Kernel<void(Queue&, T* y, const T* s, std::int64_t rows, std::int64_t n)>
    log_odds_forward{"log_odds_forward", log_odds_on_cpu<T>};
/// ds (rows, n) from s and dy.
template <class T>
inline const Kernel<void(Queue&, T* ds, const T* s, const T* dy, std::int64_t rows, std::int64_t n)>
    log_odds_backward{"log_odds_backward", log_odds_backward_on_cpu<T>};

}  // namespace detail

/// The log odds of each class against all others; the formula is at the top.
template <FloatingElement T>
Tensor<T> log_odds(const Tensor<T>& s) {
  const char* const op = "log_odds";
  TANDEM_CHECK(s.rank() >= 1 && s.size(-1) >= 2, op, "expected at least two classes, got ",
               s.shape());
  tandem::detail::require_kernels(op, s, detail::log_odds_forward<T>, detail::log_odds_backward<T>);
  const std::int64_t n = s.size(-1), rows = s.numel() / n;
  const Tensor<T> dense = s.detach().contiguous(), y(s.shape(), s.device());
  detail::log_odds_forward<T>(s.device(), y.mutable_device_data(), dense.device_data(), rows, n);
  return autograd::record(
      op, y,
      [s = autograd::save(dense), rows, n](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), ds(s.get().shape(), dy.device());
        detail::log_odds_backward<T>(dy.device(), ds.mutable_device_data(), s.get().device_data(),
                                     g.device_data(), rows, n);
        return std::tuple(ds);
      },
      s);
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END
