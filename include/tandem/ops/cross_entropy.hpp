#pragma once
/// cross_entropy — −log softmax(x)[t], from the logits x, classes along the last axis.
///   l = lse − x_t,  lse = m + log Σ e^{x_c − m},  m = max x          (class ids)
///   l = Σ_c t_c (lse − x_c)                                          (probabilities)
///   dx = (softmax(x)·Σt − t)·g;   g = dl, or dl/rows for the mean    (t one-hot for ids)
///   x (…, C), ids int64 (…) or probabilities (…, C) → () or, with Reduction::none, (…).
///   Saves x, the targets and lse per row.
///
///   cross_entropy(logits, labels).backward();
///   cross_entropy(logits, labels, {.ignore_index = -100});   // rows with that id have no loss
///
/// Ignored rows have loss and gradient 0 and do not count in the mean. Targets are constants: one
/// that needs a gradient is refused. Errors: shapes do not fit, an id outside [0, C).

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/loss_reduction.hpp"

TANDEM_NAMESPACE_BEGIN

struct CrossEntropyOptions {
  Reduction reduction = Reduction::mean;
  std::optional<std::int64_t> ignore_index = {};  ///< rows with this id do not take part
};

namespace detail {

/// log Σ e^x of n values; −∞ for none.
template <class T>
T log_sum_exp(const T* x, std::int64_t n) {
  T largest = -std::numeric_limits<T>::infinity();
  for (std::int64_t c = 0; c < n; ++c) largest = x[c] > largest || x[c] != x[c] ? x[c] : largest;
  if (largest == -std::numeric_limits<T>::infinity()) return largest;
  T sum = 0;
  for (std::int64_t c = 0; c < n; ++c) sum += std::exp(x[c] - largest);
  return largest + std::log(sum);
}

template <class T>
Tensor<T> log_sum_exp_rows(const Tensor<T>& x, std::int64_t rows, std::int64_t classes) {
  const Tensor<T> out(Shape{rows});
  T* to = out.mutable_data();
  const T* from = x.data();
  cpu::parallel_for(rows, grain_for(8 * classes), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) to[r] = log_sum_exp(from + r * classes, classes);
  });
  return out;
}

}  // namespace detail

/// Targets as class ids.
template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> cross_entropy(
    const Tensor<T>& x, const Tensor<std::int64_t>& ids, const CrossEntropyOptions& options = {}) {
  const char* const op = "cross_entropy";
  detail::require_defined(op, "x", x, "ids", ids);
  detail::require_cpu(op, x, ids);
  TANDEM_CHECK(x.rank() >= 1, op, "the logits must have a dimension for the classes");
  Shape row_shape = x.shape();
  row_shape.erase(row_shape.rank() - 1);
  TANDEM_CHECK(ids.shape() == row_shape, op, "logits of shape ", x.shape(),
               " need class ids of shape ", row_shape, ", these are ", ids.shape());
  const std::int64_t classes = x.shape().back(), rows = ids.numel();
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<std::int64_t> index = ids.contiguous();
  const std::int64_t* label = index.data();
  const auto ignored = [skip = options.ignore_index](std::int64_t id) {
    return skip && id == *skip;
  };
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    if (ignored(label[r])) continue;
    ++count;
    TANDEM_CHECK(label[r] >= 0 && label[r] < classes, op, "class id ", label[r], " of row ", r,
                 " is out of range: there are ", classes, " classes");
  }

  const Reduction reduction = options.reduction;
  const double scale = detail::reduction_scale(reduction, count);
  const Tensor<T> lse = detail::log_sum_exp_rows(xs, rows, classes);
  const T *px = xs.data(), *pl = lse.data();
  const Tensor<T> out = detail::reduce_losses<T>(row_shape, reduction, scale, [=](std::int64_t r) {
    return ignored(label[r]) ? T(0) : pl[r] - px[r * classes + label[r]];
  });
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), index = autograd::save(index), lse = autograd::save(lse), ignored,
       classes, rows, reduction, scale](const Tensor<T>& dy, autograd::Needs) {
        const detail::LossGradient<T> g(dy, reduction, scale);
        const T *logits = xs.get().data(), *norm = lse.get().data();
        const std::int64_t* id = index.get().data();
        Tensor<T> dx(xs.get().shape());
        T* to = dx.mutable_data();
        cpu::parallel_for(rows, detail::grain_for(8 * classes),
                          [&](std::int64_t begin, std::int64_t end) {
                            for (std::int64_t r = begin; r < end; ++r) {
                              const bool skip = ignored(id[r]);
                              for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i) {
                                to[i] = skip ? T(0) : std::exp(logits[i] - norm[r]) * g.at(r);
                              }
                              if (!skip) to[r * classes + id[r]] -= g.at(r);
                            }
                          });
        return std::tuple(dx);
      },
      x);
}

/// Targets as probabilities of every class (they need not sum to 1; no row is ignored).
template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> cross_entropy(
    const Tensor<T>& x, const Tensor<T>& probabilities, Reduction reduction = Reduction::mean) {
  const char* const op = "cross_entropy";
  detail::require_defined(op, "x", x, "probabilities", probabilities);
  detail::require_cpu(op, x, probabilities);
  autograd::refuse_grad(op, probabilities);
  TANDEM_CHECK(x.rank() >= 1, op, "the logits must have a dimension for the classes");
  detail::require_same_shape(op, "logits", x, "target", probabilities);
  Shape row_shape = x.shape();
  row_shape.erase(row_shape.rank() - 1);
  const std::int64_t classes = x.shape().back(), rows = row_shape.numel();
  const Tensor<T> xs = x.detach().contiguous(), ts = probabilities.contiguous();
  const double scale = detail::reduction_scale(reduction, rows);
  const Tensor<T> lse = detail::log_sum_exp_rows(xs, rows, classes);
  const T *px = xs.data(), *pt = ts.data(), *pl = lse.data();
  const Tensor<T> out = detail::reduce_losses<T>(row_shape, reduction, scale, [=](std::int64_t r) {
    T loss = 0;
    for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i) {
      if (pt[i] != 0) loss += pt[i] * (pl[r] - px[i]);  // 0·∞ is 0 here
    }
    return loss;
  });
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), ts = autograd::save(ts), lse = autograd::save(lse), classes, rows,
       reduction, scale](const Tensor<T>& dy, autograd::Needs) {
        const detail::LossGradient<T> g(dy, reduction, scale);
        const T *logits = xs.get().data(), *t = ts.get().data(), *norm = lse.get().data();
        Tensor<T> dx(xs.get().shape());
        T* to = dx.mutable_data();
        cpu::parallel_for(rows, detail::grain_for(8 * classes),
                          [&](std::int64_t begin, std::int64_t end) {
                            for (std::int64_t r = begin; r < end; ++r) {
                              T total = 0;
                              for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i)
                                total += t[i];
                              for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i) {
                                to[i] = (std::exp(logits[i] - norm[r]) * total - t[i]) * g.at(r);
                              }
                            }
                          });
        return std::tuple(dx);
      },
      x);
}

TANDEM_NAMESPACE_END
