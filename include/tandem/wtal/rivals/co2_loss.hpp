#pragma once
/// The loss of CO2-Net, which Boosting-WTAL shares but for one term.                [method §10, C]

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/ops/abs.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/exp.hpp"
#include "tandem/ops/log.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/min.hpp"
#include "tandem/ops/pad.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/where.hpp"
#include "tandem/wtal/rivals/losses.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// The weights of CO2-Net's terms.
struct Co2LossOptions {
  std::int64_t divisor = 7;  ///< k = max(1, ⌊T/7⌋); 5 on ActivityNet
  double norm = 0.8;         ///< α₁
  double guide = 0.8;        ///< α₂
  double pair = 1;           ///< α₃; 0 leaves the term out, for batches without pairs
  double mutual = 1;         ///< α₄; 0 in Boosting-WTAL
  std::int64_t pairs = 3;    ///< the batch begins with as many pairs of videos
};

/// What the loss is about.
template <FloatingElement T>
struct Co2Scores {
  Tensor<T> features;        ///< (B, T, D), of the pair loss
  Tensor<T> cas;             ///< S (B, T, C + 1), the last column is the background
  Tensor<T> attention;       ///< a (B, T, 1)
  Tensor<T> rgb_attention;   ///< a_v (B, T, 1)
  Tensor<T> flow_attention;  ///< a_f (B, T, 1)
};

/// suppressed_cas — S~ = a⊙(S − μ) + μ, μ_t = min over the C + 1 classes of S_t. The gradient flows
/// through the minimum.  S (B, T, C + 1), a (B, T, 1) → (B, T, C + 1).              [method §10, C]
template <FloatingElement T>
Tensor<T> suppressed_cas(const Tensor<T>& cas, const Tensor<T>& attention) {
  const Tensor<T> lowest = min(cas, -1, true).values;
  return add(mul(attention, sub(cas, lowest)), lowest);
}

/// attended_logits — logits whose softmax is P_c = a·p_c for the classes and a·p_{C+1} + (1 − a)
/// for the background, the last column; p = softmax_{C+1}(S).
///   S (B, T, C + 1), a (B, T, 1), rest = 1 − a (B, T, 1) as exactly as it is known → (B, T, C +
///   1).
///                                                                                      (reading)
template <FloatingElement T>
Tensor<T> attended_logits(const Tensor<T>& cas, const Tensor<T>& attention, const Tensor<T>& rest) {
  const std::int64_t c = cas.size(2) - 1;
  const Tensor<T> p = log_softmax(cas, -1);
  const Tensor<T> background =
      log(add(add(mul(attention, exp(p.slice(2, c, c + 1))), rest), T(1e-30)));
  const Tensor<T> classes = add(p.slice(2, 0, c), log(add(attention, T(1e-30))));
  return cat(std::vector<Tensor<T>>{classes, background}, 2);
}

/// pooled_over_time — the mean over a window of frames, stride 1, zeros beyond the ends counted.
///   x (B, T, n), window odd, or 0: x as it is.                                     [method §10, C]
template <FloatingElement T>
Tensor<T> pooled_over_time(const Tensor<T>& x, std::int64_t window) {
  if (window == 0) return x;
  TANDEM_CHECK(window > 0 && window % 2 == 1, "pooled_over_time",
               "the window of the pooling must be odd, or 0 for none; it is ", window);
  const std::int64_t frames = x.size(1);
  const Tensor<T> wide = pad(x, {{0, 0}, {window / 2, window / 2}, {0, 0}});
  Tensor<T> total = wide.slice(1, 0, frames);
  for (std::int64_t j = 1; j < window; ++j) total = add(total, wide.slice(1, j, j + frames));
  return mul(total, T(1 / static_cast<double>(window)));
}

/// The labels (B, C) and, as a last column, that of the background class.
template <FloatingElement T>
Tensor<T> with_background(const Tensor<T>& y, double background) {
  return cat(std::vector<Tensor<T>>{y, full<T>({y.size(0), 1}, background, y.device())}, 1);
}

/// background_mil — −Σ_c ȳ_c log softmax_{C+1}(topmean_k S)_c of each video, ȳ = [y, background]/(Σ
/// + 1e-4), k = max(1, ⌊T_valid/divisor⌋).  S (B, T, C + 1), y (B, C), valid (B, T) → (B).
///                                                                                  [method §10, C]
template <FloatingElement T>
Tensor<T> background_mil(const Tensor<T>& cas, const Tensor<T>& y, const Tensor<bool>& valid,
                         double background, std::int64_t divisor) {
  const Tensor<T> labels = with_background(y, background);
  const Tensor<T> target = div(labels, add(sum(labels, 1, true), T(1e-4)));
  return neg(sum(mul(target, log_softmax(top_mean(cas, lengths_of(valid),
                                                  [divisor](std::int64_t n) {
                                                    return std::max<std::int64_t>(1, n / divisor);
                                                  }),
                                         -1)),
                 1));
}

/// masked_mean — the mean of x (B, T, n) over the frames that are valid (B, T).
template <FloatingElement T>
Tensor<T> masked_mean(const Tensor<T>& x, const Tensor<bool>& valid) {
  const Tensor<T> real = where(valid, ones<T>(valid.shape(), x.device()), T(0)).unsqueeze(2);
  return div(sum(mul(x, real)), mul(sum(real), T(x.size(2))));
}

/// mutual_loss — ½MSE(a_v, stop(a_f)) + ½MSE(a_f, stop(a_v)): the value of the MSE, and half of its
/// gradient for each.                                                               [method §10, C]
template <FloatingElement T>
Tensor<T> mutual_loss(const Tensor<T>& a, const Tensor<T>& b, const Tensor<bool>& valid) {
  return mul(add(masked_mean(square(sub(a, b.detach())), valid),
                 masked_mean(square(sub(b, a.detach())), valid)),
             T(0.5));
}

/// guide_loss — mean |1 − a − softmax_{C+1}(S)_bg|: attention is what is not background; the
/// gradient flows into both.                                                        [method §10, C]
template <FloatingElement T>
Tensor<T> guide_loss(const Tensor<T>& attention, const Tensor<T>& cas, const Tensor<bool>& valid) {
  const Tensor<T> background = softmax(cas, -1).slice(2, cas.size(2) - 1, cas.size(2));
  return masked_mean(abs(sub(sub(ones_like(attention), attention), background)), valid);
}

/// The loss and its terms.
template <FloatingElement T>
struct Co2Losses {
  Tensor<T> mil, mil_suppressed;  ///< per video (B)
  Tensor<T> pair;                 ///< undefined where it is left out
  Tensor<T> mutual;               ///< undefined where it is left out
  Tensor<T> norm, rgb_norm, flow_norm;
  Tensor<T> guide, rgb_guide, flow_guide;
  Tensor<T> suppressed;   ///< S~
  Tensor<T> regulariser;  ///< the terms that need no label, weighted: mutual, norm and guide
  Tensor<T> total;
};

/// co2_losses — L = L_mil(S, 1) + L_mil(S~, 0) + α₃·L_pair + α₄·L_mut
///   + α₁·[norm(a) + norm(a_v) + norm(a_f)]/3 + α₂·[guide(a) + guide(a_v) + guide(a_f)]/3,
///   norm(a) = mean a.                                                              [method §10, C]
/// Undefined labels: the regulariser alone.
template <FloatingElement T>
Co2Losses<T> co2_losses(const Co2Scores<T>& s, const Tensor<T>& y, const Tensor<bool>& valid,
                        const Co2LossOptions& o = {}) {
  Co2Losses<T> l;
  l.norm = masked_mean(s.attention, valid);
  l.rgb_norm = masked_mean(s.rgb_attention, valid);
  l.flow_norm = masked_mean(s.flow_attention, valid);
  l.guide = guide_loss(s.attention, s.cas, valid);
  l.rgb_guide = guide_loss(s.rgb_attention, s.cas, valid);
  l.flow_guide = guide_loss(s.flow_attention, s.cas, valid);
  l.regulariser = add(mul(add(add(l.norm, l.rgb_norm), l.flow_norm), T(o.norm / 3)),
                      mul(add(add(l.guide, l.rgb_guide), l.flow_guide), T(o.guide / 3)));
  if (o.mutual != 0) {
    l.mutual = mutual_loss(s.rgb_attention, s.flow_attention, valid);
    l.regulariser = add(l.regulariser, mul(l.mutual, T(o.mutual)));
  }
  l.total = l.regulariser;
  if (!y.defined()) return l;
  l.suppressed = suppressed_cas(s.cas, s.attention);
  l.mil = background_mil(s.cas, y, valid, 1, o.divisor);
  l.mil_suppressed = background_mil(l.suppressed, y, valid, 0, o.divisor);
  l.total = add(l.total, add(mean(l.mil), mean(l.mil_suppressed)));
  if (o.pair != 0 && o.pairs > 0) {
    l.pair = pair_loss(s.features, l.suppressed, with_background(y, 0), lengths_of(valid), o.pairs);
    l.total = add(l.total, mul(l.pair, T(o.pair)));
  }
  return l;
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END
