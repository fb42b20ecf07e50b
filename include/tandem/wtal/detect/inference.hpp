#pragma once
/// From trained branches to detections and to the quality of their pseudo-labels.   [method §6, §7]

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/wtal/data/batch.hpp"
#include "tandem/wtal/detect/localization.hpp"
#include "tandem/wtal/detect/pseudo_label_quality.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/train/losses.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Which branch speaks at inference. The paper uses CBP alone; fusing is its comparison.
///                                                                                  [method §5, §6]
enum class Fusion {
  cbp,
  vlp,
  mean,
  weighted,
  /// The mean after min–max normalisation of each branch's frames, per video and class: a branch
  /// whose scores lie higher does not speak louder.  (ours)
  normalized_mean,
};

/// Frame probabilities P (T, C) and video scores ŷ (C) of one video.
struct VideoScores {
  Tensor<float> frames;
  Tensor<float> video;
};

struct InferenceOptions {
  Fusion fusion = Fusion::cbp;  ///< [P]
  double cbp_weight = 0.5;      ///< w of Fusion::weighted: w·CBP + (1 − w)·VLP
  Reading cbp_reading = Reading::sigmoid, vlp_reading = Reading::sigmoid;
  std::int64_t topk_divisor = 8;
  LocalizationOptions localization = {};
};

/// P = σ(S) and ŷ = σ(mean of the top k scores) of one branch on a whole video of any length.
///   x (T, D) → frames (T, C), video (C).
/// The branch speaks in the mode that it is in, here and below: nn::Evaluating is the scope to ask
/// it in.
template <FloatingElement T>
VideoScores score_video(const Branch<T>& branch, const Tensor<float>& x, Reading reading,
                        std::int64_t topk_divisor = 8) {
  const NoGrad no_grad;
  const Tensor<bool> valid = ones<bool>({1, x.size(0)});
  const Tensor<T> logits = branch.forward(x.template to<T>().unsqueeze(0), valid).logits;
  const Tensor<T> frames = frame_probabilities(logits, reading),
                  video = frame_probabilities(topk_mean(logits, valid, topk_divisor), reading);
  return {.frames = frames.squeeze(0).contiguous().template to<float>(),
          .video = video.squeeze(0).contiguous().template to<float>()};
}

/// w·a + (1 − w)·b of both scores.
inline VideoScores fuse(const VideoScores& a, const VideoScores& b, double w) {
  const auto mix = [w](const Tensor<float>& x, const Tensor<float>& y) {
    return add(mul(x, static_cast<float>(w)), mul(y, static_cast<float>(1 - w)));
  };
  return {.frames = mix(a.frames, b.frames), .video = mix(a.video, b.video)};
}

/// (p − min)/(max − min) along time, per class; 0 where all are equal.
///   frames (T, C) → (T, C).
inline Tensor<float> min_max_over_time(const Tensor<float>& frames) {
  const std::int64_t rows = frames.size(0), classes = frames.size(1);
  const Tensor<float> dense = frames.contiguous(), out = zeros<float>(frames.shape());
  std::vector<double> curve(static_cast<std::size_t>(rows));
  for (std::int64_t c = 0; c < classes; ++c) {
    for (std::int64_t t = 0; t < rows; ++t)
      curve[static_cast<std::size_t>(t)] = static_cast<double>(dense.data()[t * classes + c]);
    if (std::all_of(curve.begin(), curve.end(), [&](double p) { return p == curve[0]; })) continue;
    min_max_normalize(curve);
    for (std::int64_t t = 0; t < rows; ++t)
      out.mutable_data()[t * classes + c] = static_cast<float>(curve[static_cast<std::size_t>(t)]);
  }
  return out;
}

/// The scores that options.fusion asks for of one video: CBP on the I3D rows, VLP on the CLIP rows,
/// or both fused. A branch that is not asked may be null, and its rows undefined. Error: an asked
/// branch is not there.
template <FloatingElement T>
VideoScores fused_scores(const Branch<T>* cbp, const Branch<T>* vlp, const Tensor<float>& i3d,
                         const Tensor<float>& clip, const InferenceOptions& options) {
  const auto score = [&](const Branch<T>* branch, const Tensor<float>& x, Reading reading,
                         const char* name, const char* rows) {
    TANDEM_CHECK(branch != nullptr && x.defined(), "inference", "these scores need ",
                 branch == nullptr ? name : rows, ", which ", branch == nullptr ? "is" : "are",
                 " not there");
    return score_video(*branch, x, reading, options.topk_divisor);
  };
  VideoScores scores;
  if (options.fusion != Fusion::vlp)
    scores = score(cbp, i3d, options.cbp_reading, "CBP", "I3D rows");
  if (options.fusion == Fusion::cbp) return scores;
  const VideoScores other = score(vlp, clip, options.vlp_reading, "VLP", "CLIP rows");
  if (options.fusion == Fusion::vlp) return other;
  if (options.fusion == Fusion::normalized_mean) {
    const VideoScores a{.frames = min_max_over_time(scores.frames), .video = scores.video},
        b{.frames = min_max_over_time(other.frames), .video = other.video};
    return fuse(a, b, 0.5);
  }
  return fuse(scores, other, options.fusion == Fusion::mean ? 0.5 : options.cbp_weight);
}
template <FloatingElement T>
VideoScores fused_scores(const Branch<T>& cbp, const Branch<T>& vlp, const Tensor<float>& i3d,
                         const Tensor<float>& clip, const InferenceOptions& options) {
  return fused_scores<T>(&cbp, &vlp, i3d, clip, options);
}

/// Localizes the actions of every video of `source`. `progress(done, total)` is called per video. A
/// branch that options.fusion does not ask may be null. Rows last as long as the source says;
/// options.localization.seconds_per_row counts where it does not know.
template <FloatingElement T, class Progress>
DetectionSet detect(const Branch<T>* cbp, const Branch<T>* vlp, const VideoSource& source,
                    const InferenceOptions& options, Progress&& progress) {
  DetectionSet out;
  out.classes = source.truth().classes;
  for (std::size_t v = 0; v < source.size(); ++v) {
    const VideoScores scores =
        fused_scores<T>(cbp, vlp, options.fusion != Fusion::vlp ? source.i3d(v) : Tensor<float>(),
                        options.fusion != Fusion::cbp ? source.clip(v) : Tensor<float>(), options);
    const auto rows = static_cast<std::size_t>(scores.frames.size(0)), classes = source.classes();
    LocalizationOptions localization = options.localization;
    if (const double seconds = source.seconds_per_row(v); seconds > 0)
      localization.seconds_per_row = seconds;
    out.videos.push_back(
        {.id = source.truth().videos[v].id,
         .detections = localize(std::span(scores.frames.data(), rows * classes), rows, classes,
                                std::span(scores.video.data(), classes), localization)});
    progress(v + 1, source.size());
  }
  return out;
}
template <FloatingElement T, class Progress>
DetectionSet detect(const Branch<T>& cbp, const Branch<T>& vlp, const VideoSource& source,
                    const InferenceOptions& options, Progress&& progress) {
  return detect<T>(&cbp, &vlp, source, options, std::forward<Progress>(progress));
}

/// Calls use(v, p) with p (T, C), the frame probabilities of a branch, for every video of `source`;
/// `features(v)` are the rows that the branch reads.
template <FloatingElement T, class Features, class Use>
void for_each_scored(const Branch<T>& branch, const VideoSource& source, Features&& features,
                     Reading reading, Use&& use) {
  for (std::size_t v = 0; v < source.size(); ++v)
    use(v, score_video(branch, features(v), reading).frames);
}

/// The pseudo-labels H (1, T, C) that p (T, C) gives for video v of `source`, whose labels are used,
/// as in training. `shares` (videos, classes) is what PseudoLabelRule::calibrated keeps.
inline Tensor<std::int32_t> video_pseudo_labels(const VideoSource& source, std::size_t v,
                                                const Tensor<float>& p,
                                                const PseudoLabelOptions& options,
                                                const Tensor<float>& shares = {}) {
  const auto classes = static_cast<std::int64_t>(source.classes());
  const Tensor<float> labels = zeros<float>({1, classes});
  for (int c : source.truth().videos[v].labels) labels.set({0, c}, 1.0F);
  const Tensor<float> share =
      shares.defined() ? shares.select(0, static_cast<std::int64_t>(v)).unsqueeze(0) : shares;
  return pseudo_labels(p.unsqueeze(0), labels, ones<bool>({1, p.size(0)}), options, share);
}

/// Adds to `quality` the pseudo-labels that p (T, C) gives for video v of `source`.
inline void judge_video(PseudoLabelQuality& quality, const VideoSource& source, std::size_t v,
                        const Tensor<float>& p, const PseudoLabelOptions& options,
                        const Tensor<float>& shares = {}) {
  const Tensor<std::int32_t> h = video_pseudo_labels(source, v, p, options, shares);
  quality.add(std::span(h.data(), static_cast<std::size_t>(h.numel())),
              static_cast<std::size_t>(p.size(0)), source.classes(), source.truth().videos[v],
              source.seconds_per_row(v));
}

/// The pseudo-labels that a branch would give for every video of `source`, judged against the
/// annotation. The labels of the videos are used, as in training. Rows last as long as the source
/// says; `seconds_per_row` counts where it does not know.                           [method §4, §7]
template <FloatingElement T, class Features>
PseudoLabelQuality judge_pseudo_labels(const Branch<T>& branch, const VideoSource& source,
                                       Features&& features, Reading reading,
                                       const PseudoLabelOptions& options = {},
                                       double seconds_per_row = conventional_seconds_per_row,
                                       const Tensor<float>& shares = {}) {
  PseudoLabelQuality quality(Undecided::miss, seconds_per_row);
  for_each_scored(branch, source, features, reading, [&](std::size_t v, const Tensor<float>& p) {
    judge_video(quality, source, v, p, options, shares);
  });
  return quality;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
