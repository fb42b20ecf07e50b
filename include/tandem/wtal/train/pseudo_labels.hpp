#pragma once
/// Pseudo-labels: what one branch, frozen, teaches the other.                        [method §4, P]

#include <cstdint>
#include <vector>

#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The two thresholds of the paper.
struct PseudoLabelOptions {
  double high = 0.3;  ///< δ_h: above it a class of the label is foreground  [P]
  double low = 0.1;   ///< δ_l: below it, background  [P]
};

/// pseudo_labels — h_{t,c} = 1 if p_{t,c} > δ_h and y_c = 1; 0 if p_{t,c} < δ_l or y_c = 0;
///   −1 (ignored) otherwise.                                                         [method §4, P]
///   p (B, T, C) probabilities, y (B, C) labels in {0, 1}, valid (B, T) → H (B, T, C).
///   Padded frames (valid = false) are −1 in every class, so they never enter a loss.
///   A NaN probability is neither above nor below a threshold: −1.
template <FloatingElement T>
Tensor<std::int32_t> pseudo_labels(const Tensor<T>& p, const Tensor<T>& y,
                                   const Tensor<bool>& valid,
                                   const PseudoLabelOptions& options = {}) {
  TANDEM_CHECK(p.rank() == 3 && y.shape() == (Shape{p.size(0), p.size(2)}) &&
                   valid.shape() == (Shape{p.size(0), p.size(1)}),
               "pseudo_labels", "expected p (B, T, C), y (B, C), valid (B, T), got ", p.shape(),
               ", ", y.shape(), ", ", valid.shape());
  TANDEM_CHECK(0 <= options.low && options.low <= options.high && options.high <= 1,
               "pseudo_labels", "thresholds must satisfy 0 ≤ low ≤ high ≤ 1, they are ",
               options.low, " and ", options.high);
  const std::int64_t videos = p.size(0), frames = p.size(1), classes = p.size(2);
  const Tensor<T> dense_p = p.detach().contiguous(), dense_y = y.detach().contiguous();
  const Tensor<bool> dense_valid = valid.contiguous();
  Tensor<std::int32_t> h(p.shape());
  std::int32_t* out = h.mutable_data();
  const T* prob = dense_p.data();
  for (std::int64_t b = 0; b < videos; ++b) {
    const T* label = dense_y.data() + b * classes;
    for (std::int64_t t = 0; t < frames; ++t, out += classes, prob += classes) {
      const bool real = dense_valid.data()[b * frames + t];
      for (std::int64_t c = 0; c < classes; ++c) {
        const double value = static_cast<double>(prob[c]);
        const bool labelled = label[c] > T(0);
        out[c] = !real                              ? -1
                 : labelled && value > options.high ? 1
                 : !labelled || value < options.low ? 0
                                                    : -1;
      }
    }
  }
  return h;
}

/// What the labels of a frame decide. Foreground: some class has h = 1. Background: h = 0 in every
/// class of the video's label. Confident: foreground, or no class of the label is undecided.
enum class FrameState : std::uint8_t { undecided, background, foreground };

/// The state of each of the B·T frames.                                     [method §4: P, reading]
///   A video without a label has background frames only.
inline std::vector<FrameState> frame_states(const Tensor<std::int32_t>& h,
                                            const Tensor<bool>& valid) {
  TANDEM_CHECK(h.rank() == 3 && h.is_contiguous() && valid.is_contiguous() &&
                   valid.shape() == (Shape{h.size(0), h.size(1)}),
               "frame_states", "expected dense H (B, T, C) and valid (B, T), got ", h.shape(),
               " and ", valid.shape());
  const std::int64_t rows = h.size(0) * h.size(1), classes = h.size(2);
  std::vector<FrameState> states(static_cast<std::size_t>(rows));
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int32_t* row = h.data() + r * classes;
    bool one = false, open = !valid.data()[r];
    for (std::int64_t c = 0; c < classes; ++c) {
      one = one || row[c] == 1;
      open = open || row[c] == -1;  // only classes of the label can be −1 on a real frame
    }
    if (!valid.data()[r]) one = false;
    states[static_cast<std::size_t>(r)] = one    ? FrameState::foreground
                                          : open ? FrameState::undecided
                                                 : FrameState::background;
  }
  return states;
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
