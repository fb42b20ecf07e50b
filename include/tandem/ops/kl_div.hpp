#pragma once
/// kl_div — l = t·(log t − x), x the logarithm of the probabilities that t is compared with,
///   0·log 0 being 0; with log_target, l = eᵗ·(t − x).           [Kullback & Leibler 1951, eq. 2.4]
///   dx = −t·g;   dt = (log t + 1 − x)·g, −x·g where t = 0;   g = dl, or dl/n for the mean
///   x, t of one shape → () or, with Reduction::none, that shape.  Composed of where, log, mul,
///   sum.
///
///   const auto student = tensor<float>({{0, 0}}), teacher = tensor<float>({{0.9, 0.1}});
///   kl_div(log_softmax(student), teacher, {.reduction = Reduction::sum});   // → 0.3681
///
/// The mean is over all elements, as PyTorch's "mean"; the divergence of distributions is the sum
/// over them ("batchmean" is the sum divided by the rows). Errors: shapes differ.

#include "tandem/ops/compare.hpp"
#include "tandem/ops/exp.hpp"
#include "tandem/ops/l1_loss.hpp"
#include "tandem/ops/log.hpp"
#include "tandem/ops/where.hpp"

TANDEM_NAMESPACE_BEGIN

/// How the losses of the elements become one, and what the target is.
struct KlDivOptions {
  Reduction reduction = Reduction::mean;
  bool log_target = false;  ///< the target is the logarithm of probabilities, too
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> kl_div(const Tensor<T>& x, const Tensor<T>& target,
                                                        const KlDivOptions& options = {}) {
  const char* const op = "kl_div";
  detail::require_defined(op, "x", x, "target", target);
  detail::require_same_device(op, x, target);
  detail::require_same_shape(op, "log-probabilities", x, "target", target);
  if (options.log_target) {
    return detail::reduce_losses(mul(exp(target), sub(target, x)), options.reduction);
  }
  const Tensor<bool> some = ne(target.detach(), zeros<T>({}, target.device()));
  // The logarithm of 1 where t is 0, so that no infinity meets a 0, backward either.
  const Tensor<T> logs = log(where(some, target, 1));
  return detail::reduce_losses(mul(target, sub(logs, x)), options.reduction);
}
TANDEM_ONE_TYPE_ONLY(kl_div)

TANDEM_NAMESPACE_END
