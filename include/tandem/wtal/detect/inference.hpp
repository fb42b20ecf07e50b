#pragma once
/// From trained branches to detections and to the quality of their pseudo-labels.   [method §6, §7]

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/sqrt.hpp"
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
  /// √(CBP · VLP): a frame or class that either branch excludes is out.  (ours)
  geometric_mean,
  /// The mean after min–max normalisation of each branch's frames, per video and class: a branch
  /// whose scores lie higher does not speak louder.  (ours)
  normalized_mean,
};

namespace detail {
inline constexpr std::pair<Fusion, std::string_view> fusion_names[] = {
    {Fusion::cbp, "cbp"},
    {Fusion::vlp, "vlp"},
    {Fusion::mean, "mean"},
    {Fusion::weighted, "weighted"},
    {Fusion::geometric_mean, "geometric-mean"},
    {Fusion::normalized_mean, "normalized-mean"}};
}  // namespace detail

/// The name that the command line uses.
inline std::string_view fusion_name(Fusion fusion) {
  for (const auto& [known, name] : detail::fusion_names) {
    if (known == fusion) return name;
  }
  return "unknown";
}
/// All of them.
inline std::vector<std::string> fusion_names() {
  std::vector<std::string> out;
  for (const auto& [fusion, name] : detail::fusion_names) out.emplace_back(name);
  return out;
}
/// The fusion of a name; error when there is none.
inline Fusion fusion_from_name(std::string_view name) {
  std::string all;
  for (const auto& [fusion, known] : detail::fusion_names) {
    if (known == name) return fusion;
    all += concat(all.empty() ? "" : ", ", known);
  }
  fail("inference", "no fusion is called '", name, "': expected one of ", all);
}
/// Whether the scores need this branch.
inline bool asks_cbp(Fusion fusion) { return fusion != Fusion::vlp; }
inline bool asks_vlp(Fusion fusion) { return fusion != Fusion::cbp; }

/// Frame probabilities P (T, C) and video scores ŷ (C) of one video.
struct VideoScores {
  Tensor<float> frames;  ///< P (T, C)
  Tensor<float> video;   ///< ŷ (C)
};

/// How scores are read, fused and made into detections.
struct InferenceOptions {
  Fusion fusion = Fusion::cbp;  ///< [P]
  double cbp_weight = 0.5;      ///< w of Fusion::weighted: w·CBP + (1 − w)·VLP
  Reading cbp_reading = Reading::sigmoid, vlp_reading = Reading::sigmoid;
  std::int64_t topk_divisor = 8;
  LocalizationOptions localization = {};
  /// The inference of the method in CBP's place instead of DCL's; of Fusion::cbp only. Nothing of
  /// the above but the length of a row counts then.
  bool own = false;
};

/// P = σ(S) and ŷ = σ(mean of the top k scores) of one branch on a whole video of any length.
///   x (T, D) → frames (T, C), video (C), on the CPU, whichever device the branch is on.
/// The branch speaks in the mode that it is in, here and below: nn::Evaluating is the scope to ask
/// it in.
template <FloatingElement T>
VideoScores score_video(const Branch<T>& branch, const Tensor<float>& x, Reading reading,
                        std::int64_t topk_divisor = 8) {
  const NoGrad no_grad;
  const std::vector<Tensor<T>> weights = branch.parameters();
  const Device device = weights.empty() ? Device::cpu() : weights[0].device();
  const Tensor<bool> valid = ones<bool>({1, x.size(0)}, device);
  const Tensor<T> logits = branch.forward(x.template to<T>().unsqueeze(0).to(device), valid).logits;
  const Tensor<T> frames = frame_probabilities(logits, reading),
                  video = frame_probabilities(topk_mean(logits, valid, topk_divisor), reading);
  const auto here = [](const Tensor<T>& p) {
    return p.squeeze(0).contiguous().template to<float>().to(Device::cpu());
  };
  return {.frames = here(frames), .video = here(video)};
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

/// What the branches say of one video; undefined where a branch was not asked.
struct BranchScores {
  VideoScores cbp, vlp;  ///< of each branch
};

/// The scores of the branches that any of `ways` asks: CBP on the I3D rows (T, D), VLP on the CLIP
/// rows (T, W). A branch that none asks may be null, and its rows undefined. Errors: an asked
/// branch or its rows are not there; ways that read the same branch differently.
template <FloatingElement T>
BranchScores branch_scores(const Branch<T>* cbp, const Branch<T>* vlp, const Tensor<float>& i3d,
                           const Tensor<float>& clip, std::span<const InferenceOptions> ways) {
  const auto score = [](const Branch<T>* branch, const Tensor<float>& x, Reading reading,
                        std::int64_t topk_divisor, const char* name, const char* rows) {
    TANDEM_CHECK(branch != nullptr && x.defined(), "inference", "these scores need ",
                 branch == nullptr ? name : rows, ", which ", branch == nullptr ? "is" : "are",
                 " not there");
    return score_video(*branch, x, reading, topk_divisor);
  };
  BranchScores out;
  for (const InferenceOptions& way : ways) {
    TANDEM_CHECK(way.cbp_reading == ways[0].cbp_reading && way.vlp_reading == ways[0].vlp_reading &&
                     way.topk_divisor == ways[0].topk_divisor,
                 "inference", "scores that are computed once must be read in one way");
    if (asks_cbp(way.fusion) && !out.cbp.frames.defined())
      out.cbp = score(cbp, i3d, way.cbp_reading, way.topk_divisor, "CBP", "I3D rows");
    if (asks_vlp(way.fusion) && !out.vlp.frames.defined())
      out.vlp = score(vlp, clip, way.vlp_reading, way.topk_divisor, "VLP", "CLIP rows");
  }
  return out;
}

/// The scores that options.fusion makes of those of the branches.
inline VideoScores fuse(const BranchScores& scores, const InferenceOptions& options) {
  const VideoScores &c = scores.cbp, &v = scores.vlp;
  switch (options.fusion) {
    case Fusion::cbp:
      return c;
    case Fusion::vlp:
      return v;
    case Fusion::mean:
      return fuse(c, v, 0.5);
    case Fusion::weighted:
      return fuse(c, v, options.cbp_weight);
    case Fusion::geometric_mean:
      return {.frames = sqrt(mul(c.frames, v.frames)), .video = sqrt(mul(c.video, v.video))};
    case Fusion::normalized_mean:
      return fuse({.frames = min_max_over_time(c.frames), .video = c.video},
                  {.frames = min_max_over_time(v.frames), .video = v.video}, 0.5);
  }
  fail("inference", "an unknown fusion");
}

/// The scores that options.fusion asks for of one video: CBP on the I3D rows, VLP on the CLIP rows,
/// or both fused. A branch that is not asked may be null, and its rows undefined. Error: an asked
/// branch is not there.
template <FloatingElement T>
VideoScores fused_scores(const Branch<T>* cbp, const Branch<T>* vlp, const Tensor<float>& i3d,
                         const Tensor<float>& clip, const InferenceOptions& options) {
  return fuse(branch_scores(cbp, vlp, i3d, clip, std::span(&options, 1)), options);
}
template <FloatingElement T>
VideoScores fused_scores(const Branch<T>& cbp, const Branch<T>& vlp, const Tensor<float>& i3d,
                         const Tensor<float>& clip, const InferenceOptions& options) {
  return fused_scores<T>(&cbp, &vlp, i3d, clip, options);
}

/// The detections of one video in each of several ways, from scores that were computed once.
/// `seconds_per_row` > 0 counts before what the options say.
inline std::vector<std::vector<Detection>> localize_video(const BranchScores& scores,
                                                          std::span<const InferenceOptions> ways,
                                                          double seconds_per_row = 0) {
  std::vector<std::vector<Detection>> out;
  VideoScores fused;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const bool same = i > 0 && ways[i].fusion == ways[i - 1].fusion &&
                      ways[i].cbp_weight == ways[i - 1].cbp_weight;
    if (!same) fused = fuse(scores, ways[i]);
    const auto rows = static_cast<std::size_t>(fused.frames.size(0)),
               classes = static_cast<std::size_t>(fused.frames.size(1));
    LocalizationOptions localization = ways[i].localization;
    if (seconds_per_row > 0) localization.seconds_per_row = seconds_per_row;
    out.push_back(localize(std::span(fused.frames.data(), rows * classes), rows, classes,
                           std::span(fused.video.data(), classes), localization));
  }
  return out;
}

/// The same where ways may be the inference of the method in CBP's place, which reads the rows i3d
/// (T, D) itself. `scores` are those of the other ways.  Errors: such a way and no CBP, or one that
/// has no inference of its own, or another fusion than cbp.
template <FloatingElement T>
std::vector<std::vector<Detection>> localize_video(const Branch<T>* cbp, const Tensor<float>& i3d,
                                                   const BranchScores& scores,
                                                   std::span<const InferenceOptions> ways,
                                                   double seconds_per_row = 0) {
  std::vector<InferenceOptions> by_scores;
  for (const InferenceOptions& way : ways) {
    if (!way.own) by_scores.push_back(way);
  }
  std::vector<std::vector<Detection>> found = localize_video(scores, by_scores, seconds_per_row),
                                      out;
  std::size_t next = 0;
  for (const InferenceOptions& way : ways) {
    if (!way.own) {
      out.push_back(std::move(found[next++]));
      continue;
    }
    TANDEM_CHECK(way.fusion == Fusion::cbp, "inference",
                 "a method's own inference is of CBP alone, not of ", fusion_name(way.fusion));
    TANDEM_CHECK(cbp != nullptr && i3d.defined() && cbp->localizes(), "inference",
                 "CBP has no inference of its own");
    const double seconds = seconds_per_row > 0 ? seconds_per_row : way.localization.seconds_per_row;
    out.push_back(cbp->own_detections(i3d, seconds));
  }
  return out;
}

/// Localizes the actions of every video of `source` in each of several ways; a branch is asked once
/// a video, however many ways there are. `progress(done, total)` is called per video. A branch that
/// none of `ways` asks may be null. Rows last as long as the source says;
/// localization.seconds_per_row counts where it does not know. Returns a set for each way.
template <FloatingElement T, class Progress>
std::vector<DetectionSet> detect(const Branch<T>* cbp, const Branch<T>* vlp,
                                 const VideoSource& source, std::span<const InferenceOptions> ways,
                                 Progress&& progress) {
  std::vector<DetectionSet> out(ways.size());
  for (DetectionSet& set : out) set.classes = source.truth().classes;
  const auto any = [&](bool (*asks)(Fusion)) {
    return std::any_of(ways.begin(), ways.end(), [&](const auto& way) { return asks(way.fusion); });
  };
  const bool with_cbp = any(asks_cbp), with_vlp = any(asks_vlp);
  std::vector<InferenceOptions> by_scores;  // a method's own inference asks for none
  for (const InferenceOptions& way : ways) {
    if (!way.own) by_scores.push_back(way);
  }
  for (std::size_t v = 0; v < source.size(); ++v) {
    const Tensor<float> i3d = with_cbp ? source.i3d(v) : Tensor<float>();
    const BranchScores scores =
        branch_scores<T>(cbp, vlp, i3d, with_vlp ? source.clip(v) : Tensor<float>(), by_scores);
    auto found = localize_video(cbp, i3d, scores, ways, source.seconds_per_row(v));
    for (std::size_t i = 0; i < ways.size(); ++i) {
      out[i].videos.push_back(
          {.id = source.truth().videos[v].id, .detections = std::move(found[i])});
    }
    progress(v + 1, source.size());
  }
  return out;
}
/// In one way.
template <FloatingElement T, class Progress>
DetectionSet detect(const Branch<T>* cbp, const Branch<T>* vlp, const VideoSource& source,
                    const InferenceOptions& options, Progress&& progress) {
  return std::move(
      detect(cbp, vlp, source, std::span(&options, 1), std::forward<Progress>(progress)).front());
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

/// The pseudo-labels H (1, T, C) that p (T, C) gives for video v of `source`, whose labels are
/// used, as in training. `shares` (videos, classes) is what PseudoLabelRule::calibrated keeps.
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
