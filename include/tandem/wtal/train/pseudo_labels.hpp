#pragma once
/// Pseudo-labels: what one branch, frozen, teaches the other.                        [method §4, P]

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tandem/formula/label_logit.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/tensor/factory.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/train/teaching_options.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

namespace detail {

/// h of one class in one video, from its p: 1, 0 or −1 for each frame. `value(i)` is p of frame i
/// of n, `share` what `calibrated` keeps.
class LabelRule {
 public:
  explicit LabelRule(const PseudoLabelOptions& options) : o_(options) {
    TANDEM_CHECK(0 <= o_.low && o_.low <= o_.high && o_.high <= 1, "pseudo_labels",
                 "thresholds must satisfy 0 ≤ low ≤ high ≤ 1, they are ", o_.low, " and ", o_.high);
    TANDEM_CHECK(0 <= o_.min_max_low && o_.min_max_low <= o_.min_max_high && o_.min_max_high <= 1,
                 "pseudo_labels",
                 "thresholds must satisfy 0 ≤ low ≤ high ≤ 1, those of min_max are ",
                 o_.min_max_low, " and ", o_.min_max_high);
    TANDEM_CHECK(o_.ranked_foreground >= 0 && o_.ranked_background >= 0 &&
                     o_.ranked_foreground + o_.ranked_background <= 1,
                 "pseudo_labels", "shares must not be negative nor above 1 in all, they are ",
                 o_.ranked_foreground, " and ", o_.ranked_background);
  }

  void operator()(const std::vector<double>& p, double share, std::vector<std::int32_t>& h) {
    const double inf = std::numeric_limits<double>::infinity();
    h.assign(p.size(), -1);
    double above = o_.high, below = o_.low;
    if (o_.rule == PseudoLabelRule::ranked) return rank(p, h);
    if (o_.rule == PseudoLabelRule::min_max) {
      double least = inf, most = -inf;
      for (const double value : p) {
        if (value < least) least = value;
        if (value > most) most = value;
      }
      if (!(most > least)) return;  // no frame is more of an action than another
      above = least + o_.min_max_high * (most - least);
      below = least + o_.min_max_low * (most - least);
    }
    if (o_.rule == PseudoLabelRule::calibrated) return shift(p, share, h);
    for (std::size_t i = 0; i < p.size(); ++i) h[i] = p[i] > above ? 1 : p[i] < below ? 0 : -1;
  }

 private:
  /// The frames that have a p, the highest first; of equal ones the earlier.
  void sort(const std::vector<double>& p) {
    order_.clear();
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (!is_nan(p[i])) order_.push_back(i);
    }
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return p[a] > p[b] || (p[a] == p[b] && a < b); });
  }
  void rank(const std::vector<double>& p, std::vector<std::int32_t>& h) {
    sort(p);
    const auto count = static_cast<double>(order_.size());
    auto first = static_cast<std::size_t>(std::floor(count * o_.ranked_foreground)),
         last = static_cast<std::size_t>(std::floor(count * o_.ranked_background));
    if (first == 0 && o_.ranked_foreground > 0 && !order_.empty()) first = 1;
    last = std::min(last, order_.size() - first);
    for (std::size_t i = 0; i < first; ++i) h[order_[i]] = 1;
    for (std::size_t i = order_.size() - last; i < order_.size(); ++i) h[order_[i]] = 0;
  }
  void shift(const std::vector<double>& p, double share, std::vector<std::int32_t>& h) {
    TANDEM_CHECK(
        share >= 0 && share <= 1, "pseudo_labels",
        "the rule `calibrated` needs the share of a video that CBP called foreground after "
        "the warm-up, it is ",
        share);
    sort(p);
    const auto logit = [](double x) { return formula::label_logit(x); };
    const auto count = order_.size();
    const auto k = std::max<std::size_t>(
        2, static_cast<std::size_t>(std::llround(share * static_cast<double>(count))));
    double middle = -std::numeric_limits<double>::infinity();
    if (k < count) middle = (logit(p[order_[k - 1]]) + logit(p[order_[k]])) / 2;
    const double below = middle + logit(o_.low) - logit(o_.high);
    for (std::size_t i = 0; i < count; ++i)
      h[order_[i]] = i < k ? 1 : logit(p[order_[i]]) < below ? 0 : -1;
  }

  PseudoLabelOptions o_;
  std::vector<std::size_t> order_;
};

template <class T>
void pseudo_labels_on_cpu(std::int32_t* h, const T* p, const T* y, const bool* valid,
                          const T* shares, std::int64_t videos, std::int64_t frames,
                          std::int64_t classes, const PseudoLabelOptions& options) {
  LabelRule rule(options);
  std::fill_n(h, videos * frames * classes, -1);
  std::vector<double> values;
  std::vector<std::int64_t> at;
  std::vector<std::int32_t> labels;
  for (std::int64_t b = 0; b < videos; ++b) {
    const bool* const real = valid + b * frames;
    const T* const prob = p + b * frames * classes;
    std::int32_t* const out = h + b * frames * classes;
    at.clear();
    for (std::int64_t t = 0; t < frames; ++t) {
      if (real[t]) at.push_back(t);
    }
    for (std::int64_t c = 0; c < classes; ++c) {
      if (!(y[b * classes + c] > T(0))) {
        for (const std::int64_t t : at) out[t * classes + c] = 0;
        continue;
      }
      values.clear();
      for (const std::int64_t t : at) values.push_back(static_cast<double>(prob[t * classes + c]));
      rule(values, shares != nullptr ? static_cast<double>(shares[b * classes + c]) : 0, labels);
      for (std::size_t i = 0; i < at.size(); ++i) out[at[i] * classes + c] = labels[i];
    }
  }
}

/// h and p (videos, frames, classes), y (videos, classes), valid (videos, frames), shares (videos,
/// classes) or null.
template <class T>
inline const Kernel<void(Queue&, std::int32_t* h, const T* p, const T* y, const bool* valid,
                         const T* shares, std::int64_t videos, std::int64_t frames,
                         std::int64_t classes, const PseudoLabelOptions& options)>
    pseudo_labels_forward{"pseudo_labels_forward", pseudo_labels_on_cpu<T>};

}  // namespace detail

/// pseudo_labels — h_{t,c} = 1 if p_{t,c} > δ_h and y_c = 1; 0 if p_{t,c} < δ_l or y_c = 0;
///   −1 (ignored) otherwise; or by another rule for the classes with y_c = 1.  [method §4, P, ours]
///   p (B, T, C) probabilities, y (B, C) labels in {0, 1}, valid (B, T) → H (B, T, C).
///   calibrated: k = max(2, round(share·T_valid)); b with σ(logit(p) + b) = δ_h halfway between the
///   k-th and the next highest frame; then the two thresholds on σ(logit(p) + b). Of equal frames
///   the earlier are among the k.
///   ranked: the first max(1, ⌊T_valid·foreground⌋) frames by p are 1, the last
///   ⌊T_valid·background⌋ are 0; of equal ones the earlier ranks higher.
///   min_max: a video in which all p are equal is −1.
///   Padded frames (valid = false) are −1 in every class, so they never enter a loss.
///   A NaN probability is neither above nor below a threshold: −1.
///   On a GPU the same labels, from the same p, but for frames within a rounding of the bounds that
///   calibrated and min_max compute; shares outside [0, 1] are an error on the CPU, on a GPU −1.
/// `shares` (B, C) is what `calibrated` keeps; the other rules do not look at it.
template <FloatingElement T>
Tensor<std::int32_t> pseudo_labels(const Tensor<T>& p, const Tensor<T>& y,
                                   const Tensor<bool>& valid,
                                   const PseudoLabelOptions& options = {},
                                   const Tensor<T>& shares = {}) {
  TANDEM_CHECK(p.rank() == 3 && y.shape() == (Shape{p.size(0), p.size(2)}) &&
                   valid.shape() == (Shape{p.size(0), p.size(1)}),
               "pseudo_labels", "expected p (B, T, C), y (B, C), valid (B, T), got ", p.shape(),
               ", ", y.shape(), ", ", valid.shape());
  TANDEM_CHECK(
      options.rule != PseudoLabelRule::oracle, "pseudo_labels",
      "the rule `oracle` takes labels from annotations, not from p: OracleLabels has them");
  TANDEM_CHECK(options.rule != PseudoLabelRule::calibrated ||
                   (shares.defined() && shares.shape() == y.shape()),
               "pseudo_labels", "the rule `calibrated` needs shares of shape ", y.shape());
  const bool calibrated = options.rule == PseudoLabelRule::calibrated;
  tandem::detail::require_same_device("pseudo_labels", p, y, valid,
                                      calibrated ? shares : Tensor<T>());
  tandem::detail::require_kernels("pseudo_labels", p, detail::pseudo_labels_forward<T>);
  (void)detail::LabelRule(options);  // refuses what no rule can be
  const Device device = p.device();
  const Tensor<T> dense_p = p.detach().contiguous(), dense_y = y.detach().contiguous(),
                  dense_shares = calibrated ? shares.detach().contiguous() : Tensor<T>();
  const Tensor<bool> dense_valid = valid.contiguous();
  const Tensor<std::int32_t> h(p.shape(), device);
  detail::pseudo_labels_forward<T>(device, h.mutable_device_data(), dense_p.device_data(),
                                   dense_y.device_data(), dense_valid.device_data(),
                                   calibrated ? dense_shares.device_data() : nullptr, p.size(0),
                                   p.size(1), p.size(2), options);
  return h;
}

/// What the labels of a frame decide. Foreground: some class has h = 1. Background: h = 0 in every
/// class of the video's label. Confident: foreground, or no class of the label is undecided.
enum class FrameState : std::uint8_t { undecided, background, foreground };

namespace detail {

inline void require_dense_labels(const Tensor<std::int32_t>& h, const Tensor<bool>& valid) {
  TANDEM_CHECK(h.rank() == 3 && h.is_contiguous() && valid.is_contiguous() &&
                   valid.shape() == (Shape{h.size(0), h.size(1)}),
               "frame_states", "expected dense H (B, T, C) and valid (B, T), got ", h.shape(),
               " and ", valid.shape());
}
inline std::vector<FrameState> states_of_frames(const std::int32_t* h, const bool* valid,
                                                std::int64_t rows, std::int64_t classes) {
  std::vector<FrameState> states(static_cast<std::size_t>(rows));
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int32_t* row = h + r * classes;
    bool one = false, open = !valid[r];
    for (std::int64_t c = 0; c < classes; ++c) {
      one = one || row[c] == 1;
      open = open || row[c] == -1;  // only classes of the label can be −1 on a real frame
    }
    if (!valid[r]) one = false;
    states[static_cast<std::size_t>(r)] = one    ? FrameState::foreground
                                          : open ? FrameState::undecided
                                                 : FrameState::background;
  }
  return states;
}

}  // namespace detail

/// The state of each of the B·T frames.                                     [method §4: P, reading]
///   A video without a label has background frames only.
inline std::vector<FrameState> frame_states(const Tensor<std::int32_t>& h,
                                            const Tensor<bool>& valid) {
  detail::require_dense_labels(h, valid);
  return detail::states_of_frames(h.data(), valid.data(), h.size(0) * h.size(1), h.size(2));
}

/// The frames that are not undecided, (B, T): those that L_kd and L_fb read.
inline Tensor<bool> confident_frames(const Tensor<std::int32_t>& h, const Tensor<bool>& valid) {
  const std::vector<FrameState> states = frame_states(h, valid);
  Tensor<bool> confident(valid.shape());
  bool* out = confident.mutable_data();
  for (std::size_t r = 0; r < states.size(); ++r) out[r] = states[r] != FrameState::undecided;
  return confident;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
