#pragma once
/// cross_entropy — −log softmax(x)[t], from the logits x, classes along the last axis.
///   l = lse − x_t,  lse = m + log Σ e^{x_c − m},  m = max x          (class ids)
///   l = Σ_c t_c (lse − x_c)                                          (probabilities)
///   dx = (softmax(x)·Σt − t)·g;   g = dl, or dl/rows for the mean    (t one-hot for ids)
///   x (…, C), ids int64 (…) or probabilities (…, C) → () or, with Reduction::none, (…).
///   Saves x, the targets and lse per row.
///
///   const auto logits = tensor<float>({{2, 0}, {0, 3}});
///   const auto ids = tensor<std::int64_t>({0, 1});
///   cross_entropy(logits, ids);                                                // → 0.0878
///   cross_entropy(logits, ids, {.ignore_index = 1, .label_smoothing = 0.1});   // → 0.2269
///   cross_entropy(logits, softmax(logits));                                    // → 0.2781
///
/// With weights of the classes or label smoothing it is nll_loss(log_softmax(x)), whose formula
/// nll_loss.hpp has (rows whose logits are NaN then have a NaN gradient, ignored or not).
/// Ignored rows have loss and gradient 0 and do not count in the mean. Targets are constants: one
/// that needs a gradient is refused. Errors: shapes do not fit, an id outside [0, C). On a GPU ids
/// are not checked: one outside of it has loss and gradient NaN. A GPU adds floats in float, in a
/// fixed order.

#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/nll_loss.hpp"
#include "tandem/ops/parts/loss_reduction.hpp"
#include "tandem/ops/softmax.hpp"

TANDEM_NAMESPACE_BEGIN

/// How the losses of the rows become one, which rows take part, the weights of the classes and
/// label smoothing.
template <FloatingElement T>
using CrossEntropyOptions = NllOptions<T>;

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

/// Calls f(r) for every row, on all threads.
template <class F>
void each_row(std::int64_t rows, std::int64_t classes, const F& f) {
  cpu::parallel_for(rows, grain_for(8 * classes), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) f(r);
  });
}
/// The gradient of row r's loss: dy[r], or the common dy/count or dy.
template <class T>
auto row_gradient(const T* dy, Reduction reduction, std::int64_t count) {
  const bool each = reduction == Reduction::none;
  const T common =
      each ? T(0) : static_cast<T>(static_cast<double>(*dy) * reduction_scale(reduction, count));
  return [=](std::int64_t r) { return each ? dy[r] : common; };
}

template <class T>
void cross_entropy_ids_on_cpu(T* losses, T* lse, bool* mask, const T* x, const std::int64_t* ids,
                              std::int64_t ignore, std::int64_t rows, std::int64_t classes) {
  each_row(rows, classes, [=](std::int64_t r) {
    const bool takes_part = mask == nullptr || ids[r] != ignore;
    if (mask != nullptr) mask[r] = takes_part;
    lse[r] = log_sum_exp(x + r * classes, classes);
    losses[r] = takes_part ? lse[r] - x[r * classes + ids[r]] : T(0);
  });
}
template <class T>
void cross_entropy_ids_backward_on_cpu(T* dx, const T* dy, const T* x, const T* lse,
                                       const std::int64_t* ids, const bool* mask, std::int64_t rows,
                                       std::int64_t classes, Reduction reduction,
                                       const std::int64_t* counted) {
  const auto gradient = row_gradient(dy, reduction, counted != nullptr ? *counted : rows);
  each_row(rows, classes, [=](std::int64_t r) {
    const bool skip = mask != nullptr && !mask[r];
    const T g = gradient(r);
    for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i) {
      dx[i] = skip ? T(0) : std::exp(x[i] - lse[r]) * g;
    }
    if (!skip) dx[r * classes + ids[r]] -= g;
  });
}

template <class T>
void cross_entropy_soft_on_cpu(T* losses, T* lse, const T* x, const T* t, std::int64_t rows,
                               std::int64_t classes) {
  each_row(rows, classes, [=](std::int64_t r) {
    lse[r] = log_sum_exp(x + r * classes, classes);
    T loss = 0;
    for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i) {
      if (t[i] != 0) loss += t[i] * (lse[r] - x[i]);  // 0·∞ is 0 here
    }
    losses[r] = loss;
  });
}
template <class T>
void cross_entropy_soft_backward_on_cpu(T* dx, const T* dy, const T* x, const T* lse, const T* t,
                                        std::int64_t rows, std::int64_t classes,
                                        Reduction reduction) {
  const auto gradient = row_gradient(dy, reduction, rows);
  each_row(rows, classes, [=](std::int64_t r) {
    T total = 0;
    for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i) total += t[i];
    for (std::int64_t i = r * classes; i < (r + 1) * classes; ++i) {
      dx[i] = (std::exp(x[i] - lse[r]) * total - t[i]) * gradient(r);
    }
  });
}

/// The loss of every row (0 where ignored) and its lse. With a mask, which only `ignore` needs, it
/// becomes true where a row takes part.
template <class T>
inline const Kernel<void(Queue&, T* losses, T* lse, bool* mask, const T* x, const std::int64_t* ids,
                         std::int64_t ignore, std::int64_t rows, std::int64_t classes)>
    cross_entropy_ids_forward{"cross_entropy_ids_forward", cross_entropy_ids_on_cpu<T>};
/// mask: null where all rows take part; counted: null where it has nothing to say.
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const T* x, const T* lse,
                         const std::int64_t* ids, const bool* mask, std::int64_t rows,
                         std::int64_t classes, Reduction reduction, const std::int64_t* counted)>
    cross_entropy_ids_backward{"cross_entropy_ids_backward", cross_entropy_ids_backward_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* losses, T* lse, const T* x, const T* t, std::int64_t rows,
                         std::int64_t classes)>
    cross_entropy_soft_forward{"cross_entropy_soft_forward", cross_entropy_soft_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const T* x, const T* lse, const T* t,
                         std::int64_t rows, std::int64_t classes, Reduction reduction)>
    cross_entropy_soft_backward{"cross_entropy_soft_backward",
                                cross_entropy_soft_backward_on_cpu<T>};

/// The losses of the rows, reduced; mask and counted as loss_forward has them.
template <class T>
Tensor<T> reduced(const Tensor<T>& losses, Reduction reduction, const bool* mask,
                  std::int64_t* counted) {
  if (reduction == Reduction::none) return losses;
  const Tensor<T> out(Shape(), losses.device());
  using Loss = formula::ComputedLoss<T>;
  loss_forward<Loss, T>(losses.device(), Loss{losses.device_data()}, out.mutable_device_data(),
                        losses.numel(), reduction, counted != nullptr ? mask : nullptr, counted);
  return out;
}

}  // namespace detail

/// Targets as class ids.
template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> cross_entropy(
    const Tensor<T>& x, const Tensor<std::int64_t>& ids,
    const std::type_identity_t<CrossEntropyOptions<T>>& options = {}) {
  const char* const op = "cross_entropy";
  detail::require_class_loss(op, "logits", x, ids, options);
  if (options.weight.defined() || options.label_smoothing > 0) {
    return detail::class_loss(log_softmax(x), ids, options);
  }
  detail::require_kernels(op, x, detail::cross_entropy_ids_forward<T>,
                          detail::cross_entropy_ids_backward<T>,
                          detail::loss_forward<formula::ComputedLoss<T>, T>);
  Shape row_shape = x.shape();
  row_shape.erase(row_shape.rank() - 1);
  const std::int64_t classes = x.shape().back(), rows = ids.numel();
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<std::int64_t> index = ids.contiguous();

  const Reduction reduction = options.reduction;
  const Tensor<T> losses(row_shape, x.device()), lse({rows}, x.device());
  Tensor<bool> mask;             // which rows take part
  Tensor<std::int64_t> counted;  // how many of them, for a mean
  if (options.ignore_index) {
    mask = Tensor<bool>({rows}, x.device());
    if (reduction == Reduction::mean) counted = Tensor<std::int64_t>(Shape(), x.device());
  }
  bool* const part = mask.defined() ? mask.mutable_device_data() : nullptr;
  detail::cross_entropy_ids_forward<T>(
      x.device(), losses.mutable_device_data(), lse.mutable_device_data(), part, xs.device_data(),
      index.device_data(), options.ignore_index.value_or(0), rows, classes);
  const Tensor<T> out = detail::reduced(
      losses, reduction, part, counted.defined() ? counted.mutable_device_data() : nullptr);
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), index = autograd::save(index), lse = autograd::save(lse),
       mask = autograd::save(mask), counted = autograd::save(counted), classes, rows,
       reduction](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(xs.get().shape(), dy.device());
        detail::cross_entropy_ids_backward<T>(
            dy.device(), dx.mutable_device_data(), g.device_data(), xs.get().device_data(),
            lse.get().device_data(), index.get().device_data(), detail::data_or_null(mask.get()),
            rows, classes, reduction, detail::data_or_null(counted.get()));
        return std::tuple(dx);
      },
      x);
}

template <FloatingElement T, class I>
requires(!std::is_same_v<I, std::int64_t> &&
         std::is_integral_v<I>) detail::ids_are_int64_convert_by_to_int64
    cross_entropy(const Tensor<T>&, const Tensor<I>&,
                  const std::type_identity_t<CrossEntropyOptions<T>>& options = {})
= delete;

/// Targets as probabilities of every class (they need not sum to 1; no row is ignored).
template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> cross_entropy(
    const Tensor<T>& x, const Tensor<T>& probabilities, Reduction reduction = Reduction::mean) {
  const char* const op = "cross_entropy";
  detail::require_defined(op, "x", x, "probabilities", probabilities);
  detail::require_same_device(op, x, probabilities);
  detail::require_kernels(op, x, detail::cross_entropy_soft_forward<T>,
                          detail::cross_entropy_soft_backward<T>,
                          detail::loss_forward<formula::ComputedLoss<T>, T>);
  autograd::refuse_grad(op, probabilities);
  TANDEM_CHECK(x.rank() >= 1, op, "the logits must have a dimension for the classes");
  TANDEM_CHECK(x.shape() == probabilities.shape(), op, "the logits have shape ", x.shape(),
               ", the target has shape ", probabilities.shape(),
               ": floating targets are probabilities of every class, class ids are int64");
  Shape row_shape = x.shape();
  row_shape.erase(row_shape.rank() - 1);
  const std::int64_t classes = x.shape().back(), rows = row_shape.numel();
  const Tensor<T> xs = x.detach().contiguous(), ts = probabilities.contiguous();
  const Tensor<T> losses(row_shape, x.device()), lse({rows}, x.device());
  detail::cross_entropy_soft_forward<T>(x.device(), losses.mutable_device_data(),
                                        lse.mutable_device_data(), xs.device_data(),
                                        ts.device_data(), rows, classes);
  const Tensor<T> out = detail::reduced<T>(losses, reduction, nullptr, nullptr);
  return autograd::record(
      op, out,
      [xs = autograd::save(xs), ts = autograd::save(ts), lse = autograd::save(lse), classes, rows,
       reduction](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(xs.get().shape(), dy.device());
        detail::cross_entropy_soft_backward<T>(
            dy.device(), dx.mutable_device_data(), g.device_data(), xs.get().device_data(),
            lse.get().device_data(), ts.get().device_data(), rows, classes, reduction);
        return std::tuple(dx);
      },
      x);
}

TANDEM_NAMESPACE_END
