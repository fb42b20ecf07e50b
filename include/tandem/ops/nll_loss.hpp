#pragma once
/// nll_loss — l = −w_t·x_t of log-probabilities x and class ids t, classes along the last axis.
///   With label smoothing s, l = −(1 − s)·w_t·x_t − s/C·Σ_c w_c·x_c.      [Szegedy et al. 2016, §7]
///   dx_c = −w_c·((1 − s)·[c = t] + s/C)·g;   g = dl, or dl/Σ w_t over the rows for the mean
///   x (…, C), ids int64 (…), w (C) or undefined (1) → () or, with Reduction::none, (…).
///   Composed of gather, index_select, where, mul and sum.
///
///   const auto logits = tensor<float>({{2, 0}, {0, 3}}), weight = tensor<float>({1, 2});
///   nll_loss(log_softmax(logits), tensor<std::int64_t>({0, 1}), {.weight = weight});   // → 0.0747
///
/// Rows with the id `ignore_index` have loss and gradient 0 and do not count in the mean, which is
/// 0 without any. w is a constant: one that needs a gradient is refused. Errors: shapes that do not
/// fit, an id outside [0, C), a smoothing outside [0, 1]. On a GPU ids are not checked (gather).

#include <optional>

#include "tandem/ops/compare.hpp"
#include "tandem/ops/gather.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/l1_loss.hpp"
#include "tandem/ops/where.hpp"

TANDEM_NAMESPACE_BEGIN

/// How the losses of the rows become one, which rows take part, and what classes weigh.
template <FloatingElement T>
struct NllOptions {
  Reduction reduction = Reduction::mean;
  std::optional<std::int64_t> ignore_index = {};  ///< rows with this id do not take part
  Tensor<T> weight = {};                          ///< w (C,); undefined: 1
  double label_smoothing = 0;                     ///< s, spread over all classes
};

namespace detail {

/// Throws for a class id that does not exist.
inline void require_class_ids(const char* op, const std::int64_t* ids, std::int64_t rows,
                              std::int64_t classes, const std::optional<std::int64_t>& ignore) {
  for (std::int64_t r = 0; r < rows; ++r) {
    if (ignore && ids[r] == *ignore) continue;
    TANDEM_CHECK(ids[r] >= 0 && ids[r] < classes, op, "class id ", ids[r], " of row ", r,
                 " is out of range: there are ", classes, " classes",
                 ids[r] < 0 ? " (rows are left out by the option ignore_index)" : "");
  }
}

/// What cross_entropy asks too, of logits.
template <class T>
void require_class_loss(const char* op, const char* what, const Tensor<T>& x,
                        const Tensor<std::int64_t>& ids, const NllOptions<T>& options) {
  require_defined(op, "x", x, "ids", ids);
  require_given_or_none(op, "weight", options.weight);
  require_same_device(op, x, ids, options.weight);
  TANDEM_CHECK(x.rank() >= 1, op, "the ", what, " must have a dimension for the classes");
  Shape rows = x.shape();
  rows.erase(rows.rank() - 1);
  TANDEM_CHECK(ids.shape() == rows, op, what, " of shape ", x.shape(), " need class ids of shape ",
               rows, ", these are ", ids.shape(),
               x.rank() > 2 && ids.rank() == rows.rank() && ids.size(0) == rows[0]
                   ? ": classes lie along the last axis, permute() them there"
                   : "");
  const std::int64_t classes = x.size(-1);
  TANDEM_CHECK(classes > 0 || ids.numel() == 0, op, what, " of shape ", x.shape(),
               " have no classes");
  TANDEM_CHECK(!options.weight.defined() || options.weight.shape() == Shape{classes}, op,
               "the weights of the classes must have shape (", classes, ",), they have ",
               options.weight.defined() ? options.weight.shape() : Shape());
  TANDEM_CHECK(options.label_smoothing >= 0 && options.label_smoothing <= 1, op,
               "the label smoothing must be from 0 to 1, it is ", options.label_smoothing);
  autograd::refuse_grad(op, options.weight);
  if (x.device().is_cpu()) {
    require_class_ids(op, ids.contiguous().data(), ids.numel(), classes, options.ignore_index);
  }
}

/// The loss behind the door.
template <class T>
Tensor<T> class_loss(const Tensor<T>& x, const Tensor<std::int64_t>& ids,
                     const NllOptions<T>& options) {
  const Device device = x.device();
  const std::int64_t classes = x.size(-1);
  const double s = options.label_smoothing;
  Tensor<bool> part;  // which rows take part
  Tensor<std::int64_t> index = ids;
  if (options.ignore_index) {
    part = ne(ids, full<std::int64_t>({}, *options.ignore_index, device));
    index = where(part, ids, 0);
  }
  Tensor<T> losses = neg(gather(x, -1, index.unsqueeze(-1)).squeeze(-1)), weights;
  if (options.weight.defined()) {
    weights = index_select(options.weight, 0, index.flatten()).reshape(ids.shape());
    losses = mul(weights, losses);
  }
  if (s > 0 && classes > 0) {
    const Tensor<T> all = sum(options.weight.defined() ? mul(x, options.weight) : x, -1);
    losses = sub(mul(losses, 1 - s), mul(all, s / static_cast<double>(classes)));
  }
  if (part.defined()) losses = where(part, losses, 0);
  if (options.reduction != Reduction::mean || !(part.defined() || weights.defined())) {
    return reduce_losses(losses, options.reduction);
  }
  if (!weights.defined()) weights = ones<T>(ids.shape(), device);
  const Tensor<T> zero = zeros<T>({}, device),
                  total = sum(part.defined() ? where(part, weights, 0) : weights);
  return div(sum(losses), where(eq(total, zero), 1, total));
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> nll_loss(
    const Tensor<T>& x, const Tensor<std::int64_t>& ids,
    const std::type_identity_t<NllOptions<T>>& options = {}) {
  detail::require_class_loss("nll_loss", "log-probabilities", x, ids, options);
  return detail::class_loss(x, ids, options);
}
template <Element T, Element I>
requires(!std::is_same_v<I, std::int64_t>) detail::ids_are_int64_convert_by_to_int64
    nll_loss(const Tensor<T>&, const Tensor<I>&,
             const std::type_identity_t<NllOptions<T>>& options = {})
= delete;

TANDEM_NAMESPACE_END
