#pragma once
/// What the losses of the other methods are made of: the mean of the largest scores along time, the
/// clamped cross-entropy, the loss of pairs.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/formula/clamped_bce.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/clamp.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/ops/relu.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/sqrt.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/stack.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/topk.hpp"
#include "tandem/wtal/rivals/lengths.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// top_mean — per video and class the mean of the k largest scores along time.
///   scores (B, T, C), lengths (B) → (B, C); k = count(n) for a video of n frames, of which only
///   the first n count.  Errors: k outside [1, n].
///   top_mean(s, lengths, [](std::int64_t n) { return std::max<std::int64_t>(1, n / 8); })
template <FloatingElement T, class Count>
Tensor<T> top_mean(const Tensor<T>& scores, const std::vector<std::int64_t>& lengths,
                   Count&& count) {
  TANDEM_CHECK(scores.rank() == 3 && static_cast<std::size_t>(scores.size(0)) == lengths.size(),
               "top_mean", "expected scores (", lengths.size(), ", T, C), got ", scores.shape());
  const auto of = [&](const Tensor<T>& s, int time, std::int64_t n) {
    const std::int64_t k = count(n);
    TANDEM_CHECK(1 <= k && k <= n, "top_mean", "of ", n, " frames ", k, " are asked for");
    return mean(topk(s.slice(time, 0, n), k, time).values, time);
  };
  bool equal = true;
  for (const std::int64_t n : lengths) equal = equal && n == lengths[0];
  if (equal && !lengths.empty()) return of(scores, 1, lengths[0]);
  std::vector<Tensor<T>> videos;
  for (std::size_t b = 0; b < lengths.size(); ++b)
    videos.push_back(of(scores.select(0, static_cast<std::int64_t>(b)), 0, lengths[b]));
  return stack(videos, 0);
}

namespace detail {

template <class T>
void clamped_bce_on_cpu(T* loss, T* gradient, const T* p, const T* y, std::int64_t n) {
  const double count = static_cast<double>(n);
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    total += formula::ClampedBce()(static_cast<double>(p[i]), static_cast<double>(y[i]));
    gradient[i] = T(static_cast<double>(formula::ClampedBceGradient()(p[i], y[i])) / count);
  }
  *loss = T(total / count);
}

/// loss (1) and gradient (n) from p and y (n).
template <class T>
inline const Kernel<void(Queue&, T* loss, T* gradient, const T* p, const T* y, std::int64_t n)>
    clamped_bce_forward{"clamped_bce_forward", clamped_bce_on_cpu<T>};

}  // namespace detail

/// clamped_bce — mean over ALL elements of −[y·max(ln p, −100) + (1 − y)·max(ln(1 − p), −100)]. [C]
///   dp = (p − y)/max(p·(1 − p), 1e-12)/n: the two clamps matter where a softmax saturates, and
///   make it another loss than a fused softmax with cross-entropy.
///   p, y of one shape → ().  Saves dp.  No gradient to y.  Errors: shapes differ, no element.
template <FloatingElement T>
Tensor<T> clamped_bce(const Tensor<T>& p, const Tensor<T>& y) {
  const char* const op = "clamped_bce";
  TANDEM_CHECK(p.shape() == y.shape() && p.numel() > 0, op, "expected p and y of one shape, got ",
               p.shape(), " and ", y.shape());
  tandem::detail::require_same_device(op, p, y);
  tandem::detail::require_kernels(op, p, detail::clamped_bce_forward<T>);
  const Device device = p.device();
  const Tensor<T> ps = p.detach().contiguous(), ys = y.detach().contiguous(), loss(Shape{}, device),
                  gradient(p.shape(), device);
  detail::clamped_bce_forward<T>(device, loss.mutable_device_data(), gradient.mutable_device_data(),
                                 ps.device_data(), ys.device_data(), p.numel());
  return autograd::record(
      op, loss,
      [gradient = autograd::save(gradient)](const Tensor<T>& dy, autograd::Needs) {
        return std::tuple(mul(gradient.get(), dy));
      },
      p);
}

/// y/Σy of each video, (B, C); a video without a label stays 0.
template <FloatingElement T>
Tensor<T> shared_labels(const Tensor<T>& y) {
  return div(y, clamp_min(sum(y, {-1}, true), T(1)));
}

/// label_cross_entropy — mean over videos of −Σ_c ȳ_c log softmax(s)_c.   s, ȳ (B, C) → ().
template <FloatingElement T>
Tensor<T> label_cross_entropy(const Tensor<T>& scores, const Tensor<T>& shares) {
  TANDEM_CHECK(scores.shape() == shares.shape() && scores.rank() == 2, "label_cross_entropy",
               "expected scores and labels of one shape (B, C), got ", scores.shape(), " and ",
               shares.shape());
  const double videos = static_cast<double>(std::max<std::int64_t>(1, scores.size(0)));
  return mul(sum(mul(shares, log_softmax(scores, -1))), T(-1 / videos));
}

namespace detail {
/// cos of the columns of a and b (D, K) → (K). A column of zeros has cosine 0.  (reading)
template <FloatingElement T>
Tensor<T> column_cosines(const Tensor<T>& a, const Tensor<T>& b) {
  const auto norm = [](const Tensor<T>& x) {
    return sqrt(clamp_min(sum(square(x), {0}), T(1e-30)));
  };
  return div(sum(mul(a, b), {0}), mul(norm(a), norm(b)));
}
}  // namespace detail

/// pair_loss — co-activity: in two videos of one class, the features under its high activations are
/// alike, and unlike those under its low ones.                        [Paul et al. 2018, W-TALC; C]
///   a = softmax of s over time per class;  H = xᵀa;  L = xᵀ(1 − a)/max(n − 1, 1);
///   d1 = 1 − cos(H_u, H_v),  d2 = 1 − cos(H_u, L_v),  d3 = 1 − cos(H_v, L_u)   for each class,
///   Σ_pairs Σ_k ½·y_u y_v·[max(d1 − d2 + ½, 0) + max(d1 − d3 + ½, 0)] / Σ_pairs Σ_k y_u y_v.
///   x (B, T, D), s (B, T, K), y (B, K), lengths (B) → (). The pairs are the videos (0, 1), (2, 3)
///   … of the first 2·pairs. No pair shares a class: 0, without a gradient (reading; the public
///   code divides 0 by 0).  Errors: fewer than 2·pairs videos; shapes that do not fit.
template <FloatingElement T>
Tensor<T> pair_loss(const Tensor<T>& features, const Tensor<T>& scores, const Tensor<T>& labels,
                    const std::vector<std::int64_t>& lengths, std::int64_t pairs) {
  TANDEM_CHECK(features.rank() == 3 && scores.rank() == 3 && features.size(1) == scores.size(1) &&
                   features.size(0) == scores.size(0) &&
                   labels.shape() == (Shape{scores.size(0), scores.size(2)}) &&
                   lengths.size() == static_cast<std::size_t>(scores.size(0)),
               "pair_loss", "expected features (B, T, D), scores (B, T, K), labels (B, K), got ",
               features.shape(), ", ", scores.shape(), ", ", labels.shape());
  TANDEM_CHECK(pairs >= 1 && 2 * pairs <= scores.size(0), "pair_loss", pairs,
               " pairs do not fit into a batch of ", scores.size(0));
  Tensor<T> total;
  double shared = 0;
  for (std::int64_t i = 0; i < pairs; ++i) {
    const std::int64_t u = 2 * i, v = u + 1;
    const Tensor<T> both = mul(labels.select(0, u), labels.select(0, v)).detach();
    const double count = static_cast<double>(sum(both).item());
    if (count == 0) continue;
    Tensor<T> high[2], low[2];
    for (const std::int64_t b : {u, v}) {
      const std::int64_t n = lengths[static_cast<std::size_t>(b)];
      const Tensor<T> rows = features.select(0, b).slice(0, 0, n).transpose(0, 1),
                      a = softmax(scores.select(0, b).slice(0, 0, n), 0);
      const double others = static_cast<double>(std::max<std::int64_t>(n - 1, 1));
      high[b - u] = matmul(rows, a);
      low[b - u] = mul(matmul(rows, sub(T(1), a)), T(1 / others));
    }
    const auto distance = [](const Tensor<T>& a, const Tensor<T>& b) {
      return sub(T(1), detail::column_cosines(a, b));
    };
    const Tensor<T> d1 = distance(high[0], high[1]), d2 = distance(high[0], low[1]),
                    d3 = distance(high[1], low[0]);
    const Tensor<T> excess = add(relu(add(sub(d1, d2), T(0.5))), relu(add(sub(d1, d3), T(0.5))));
    const Tensor<T> part = sum(mul(both, mul(excess, T(0.5))));
    total = total.defined() ? add(total, part) : part;
    shared += count;
  }
  return total.defined() ? mul(total, T(1 / shared)) : zeros<T>(Shape{}, scores.device());
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END
