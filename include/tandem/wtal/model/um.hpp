#pragma once
/// UM, uncertainty modelling by the magnitude of features, as a branch in CBP's place.
///     [Lee, Wang, Lu, Byun: "Weakly-supervised Temporal Action Localization by Uncertainty
///      Modeling", AAAI 2021; marks: docs/method.md, C: as its public code does it]

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/clamp.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/log.hpp"
#include "tandem/ops/max.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/relu.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/sqrt.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/stack.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/topk.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/rivals/dropout.hpp"
#include "tandem/wtal/rivals/log_odds.hpp"
#include "tandem/wtal/rivals/losses.hpp"
#include "tandem/wtal/rivals/proposals.hpp"
#include "tandem/wtal/rivals/sampling.hpp"
#include "tandem/wtal/rivals/temporal_conv.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The sizes and numbers of UM; all [C] unless marked.
struct UmOptions {
  std::int64_t input = 2048;            ///< F, I3D columns
  std::int64_t classes = 20;            ///< C
  std::int64_t width = 2048;            ///< of the features
  double dropout = 0.7;                 ///< of the features before the scores, and of the selection
  double alpha = 5e-4;                  ///< weight of L_um
  double beta = 1;                      ///< weight of the entropy of background
  double margin = 100;                  ///< the magnitude that action frames should have
  std::int64_t action_divisor = 9;      ///< k_a = ⌊T/9⌋
  std::int64_t background_divisor = 4;  ///< k_b = ⌊T/4⌋
  /// M of P relative to the magnitudes of the chosen frames, as in its own inference  (reading: M =
  /// min(n_t, margin)/margin, which has a gradient everywhere below the margin)
  bool relative_magnitudes = false;
  double class_threshold = 0.2;  ///< p_act of a class to localize; none: the best one
  double nms = 0.6;              ///< hard, IoU+1
  std::vector<double> score_thresholds = {0,     0.025, 0.05,  0.075, 0.1,
                                          0.125, 0.15,  0.175, 0.2,   0.225};  ///< θ on A
  std::vector<double> magnitude_thresholds = {0.4,   0.425, 0.45,  0.475, 0.5,
                                              0.525, 0.55,  0.575, 0.6};  ///< θ on M
  /// Its own training: Adam with L2 decay, 10000 steps.
  rivals::Recipe recipe = {.videos = rivals::VideoOrder::epochs,
                           .rows = rivals::RowChoice::stratified,
                           .batch = 16,
                           .frames = 750,
                           .learning_rate = 1e-4,
                           .weight_decay = 5e-4,
                           .steps = 10000};
  Precision precision = Precision::full;  ///< of the products  (ours)
};

/// What UM's own inference reads of a video, in the order of rows.
struct UmVideo {
  std::vector<double> scores;      ///< p_act (C)
  std::vector<double> cas;         ///< softmax_C(S) (T, C)
  std::vector<double> magnitudes;  ///< n_t = ‖f_t‖ (T)
  double action = 0;               ///< the mean of ‖f‖ over the action frames
  double background = 0;           ///< and over the background frames
};

/// um_magnitudes — M = clip((n_t − lo)/(hi − lo), 0, 1) with hi and lo the mean magnitudes of the
/// action and of the background frames; hi − lo ≤ 0 counts as 1.                               [C]
inline std::vector<double> um_magnitudes(const UmVideo& video) {
  const double range = video.action - video.background > 0 ? video.action - video.background : 1;
  std::vector<double> m;
  for (const double n : video.magnitudes)
    m.push_back(std::clamp((n - video.background) / range, 0.0, 1.0));
  return m;
}

/// um_detections — the method's own inference on a video of n rows, of which T were taken.      [C]
///   A_c = clip(min_max_zero(softmax_C(S)_c⊙M), 0, 1); A and M are stretched 24 times. Classes with
///   p_act ≥ 0.2 are localized, else the best one. Proposals of a class:
///     for θ in 0 … 0.225:  m = A where A ≥ θ, else 0; runs of m > 0, contrast on m;
///     for θ in 0.4 … 0.6:  runs of M ≥ θ and M > 0, contrast on A;
///   runs of one index are left out; all together: hard NMS.
///   Index j of the stretched maps is at second j·s·n/(24·T), s = seconds_per_row.
inline std::vector<Detection> um_detections(const UmVideo& video, std::int64_t n,
                                            double seconds_per_row, const UmOptions& options) {
  const std::size_t classes = video.scores.size(), frames = video.magnitudes.size();
  TANDEM_CHECK(classes > 0 && frames > 0 && video.cas.size() == frames * classes, "um",
               "expected scores (", frames, ", ", classes, "), got ", video.cas.size(), " numbers");
  const double unit = seconds_per_row * static_cast<double>(n) / (24 * static_cast<double>(frames));
  std::vector<std::size_t> chosen;
  for (std::size_t c = 0; c < classes; ++c) {
    if (video.scores[c] >= options.class_threshold) chosen.push_back(c);
  }
  if (chosen.empty()) {
    chosen.push_back(static_cast<std::size_t>(
        std::max_element(video.scores.begin(), video.scores.end()) - video.scores.begin()));
  }
  const std::vector<double> m = um_magnitudes(video), wide_m = rivals::stretch(m, 24);
  std::vector<Detection> proposals;
  std::vector<double> curve(frames);
  for (const std::size_t c : chosen) {
    for (std::size_t t = 0; t < frames; ++t) curve[t] = video.cas[t * classes + c] * m[t];
    std::vector<double> a = rivals::min_max_zero(curve);
    for (double& x : a) x = std::clamp(x, 0.0, 1.0);
    const std::vector<double> map = rivals::stretch(a, 24);
    const auto propose = [&](const std::vector<double>& on, auto&& selected) {
      for (const rivals::IndexRun& run : rivals::runs_of(on.size(), selected)) {
        if (run.size() < 2) continue;
        proposals.push_back(
            {{static_cast<double>(run.first) * unit, static_cast<double>(run.last + 1) * unit},
             static_cast<int>(c),
             rivals::contrast_score(on, run, video.scores[c])});
      }
    };
    for (const double theta : options.score_thresholds) {
      std::vector<double> above = map;
      for (double& x : above) x = x < theta ? 0 : x;
      propose(above, [&](std::size_t j) { return above[j] > 0; });
    }
    for (const double theta : options.magnitude_thresholds)
      propose(map, [&](std::size_t j) { return wide_m[j] >= theta && wide_m[j] > 0; });
  }
  return rivals::hard_nms(proposals, options.nms);
}

/// UM — background frames are those whose features are short; no class stands for them.
///   f = ReLU(Conv(F→W, 3)(X)),  S = Conv(W→C, 1, no bias)(Drop(.7)(f)),  n_t = ‖f_t‖
///   act: the ⌊T/9⌋ frames with the largest s·n; bkg: the ⌊T/4⌋ with the largest s·(max n − n);
///   s = Drop(.7) of ones in training, else 1: the same in both; no gradient through the choice.
///   p_act = softmax_C(mean of the ⌊T/9⌋ largest S of each class), p_bkg = softmax_C(mean S on bkg)
///   L = BCE(p_act, y/Σy) + β·BCE(p_bkg, 1/C) + α·mean_b (max(0, 100 − ‖mean f on act‖) +
///       ‖mean f on bkg‖)²
///   In DCL (reading): P_c = M·softmax_C(S)_c with M = min(n_t, 100)/100; the background has the
///   rest, 1 − Σ_c P_c = 1 − M; f as above; no label-free term.
/// Names of the state are those of the public checkpoints.
template <FloatingElement T>
class UmBranch final : public Branch<T> {
 public:
  UmBranch(const UmOptions& options, Generator& random)
      : conv(options.input, options.width, 3, random),
        classifier(options.width, options.classes, 1, random, false),
        drop(options.dropout),
        select_drop(options.dropout),
        options_(options) {
    TANDEM_CHECK(options.margin > 0, "um", "the margin must be positive, it is ", options.margin);
    this->add("cas_module.conv.0", conv);
    this->add("cas_module.classifier.0", classifier);
    this->add("cas_module.drop_out", drop);
    this->add("drop_out", select_drop);
  }

  /// What the network says of a batch. The frames of video b that were chosen: rows act[b], bkg[b].
  struct Pass {
    Tensor<T> features;    ///< f (B, T, W), before dropout
    Tensor<T> scores;      ///< S (B, T, C)
    Tensor<T> magnitudes;  ///< n (B, T, 1)
    std::vector<Tensor<std::int64_t>> act, bkg;
    std::vector<Tensor<T>> act_features, bkg_features;  ///< f of those frames (k, W)
    Tensor<T> p_act, p_bkg;                             ///< (B, C)
  };
  /// `selection` (B, T) is s; undefined: drawn in training, else 1.
  Pass classify(const Tensor<T>& x, const Tensor<bool>& valid,
                const Tensor<T>& selection = {}) const {
    Pass out;
    out.features = relu(conv.forward(x, valid));
    out.scores = classifier.forward(drop.forward(out.features));
    out.magnitudes = norm(out.features, -1, true);
    const std::vector<std::int64_t> lengths = rivals::lengths_of(valid);
    choose(out, lengths, selection);
    std::vector<Tensor<T>> background;
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      const auto video = static_cast<std::int64_t>(b);
      out.act_features.push_back(index_select(out.features.select(0, video), 0, out.act[b]));
      out.bkg_features.push_back(index_select(out.features.select(0, video), 0, out.bkg[b]));
      background.push_back(mean(index_select(out.scores.select(0, video), 0, out.bkg[b]), 0));
    }
    out.p_act = softmax(
        rivals::top_mean(out.scores, lengths,
                         [this](std::int64_t n) { return part(n, options_.action_divisor); }),
        -1);
    out.p_bkg = softmax(stack(background, 0), -1);
    return out;
  }

  BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                          const Tensor<bool>& wanted = {}) const override {
    static_cast<void>(wanted);  // the frames beside the wanted ones are read by the convolution
    const nn::ModuleScope scope("um");
    const PrecisionScope products(options_.precision);
    detail::check_frames("um", x, options_.input, valid);
    BranchOutput<T> out;
    Tensor<T> m, scores;
    if (options_.relative_magnitudes) {
      const Pass pass = classify(x, valid);
      out.features = pass.features;
      scores = pass.scores;
      m = relative(pass);
    } else {
      out.features = relu(conv.forward(x, valid));
      scores = classifier.forward(drop.forward(out.features));
      m = mul(norm(out.features, -1, true), T(1 / options_.margin));
    }
    out.attention = clamp(m, 0.0, 1.0);
    // P and the background in logarithms; as L_kd clamps probabilities
    const Tensor<T> inside = clamp(m, 1e-6, 1 - 1e-6);
    const Tensor<T> odds = rivals::log_odds(cat(
        std::vector<Tensor<T>>{add(log_softmax(scores, -1), log(inside)), log(sub(T(1), inside))},
        2));
    const std::int64_t c = options_.classes;
    out.logits = odds.slice(2, 0, c);
    out.background = odds.slice(2, c, c + 1);
    return out;
  }

  const rivals::Recipe* recipe() const override { return &options_.recipe; }

  /// L and its parts.
  struct Loss {
    Tensor<T> cls;    ///< BCE(p_act, y/Σy)
    Tensor<T> be;     ///< BCE(p_bkg, 1/C)
    Tensor<T> um;     ///< L_um
    Tensor<T> total;  ///< the weighted sum
  };
  /// Of a pass and its labels y (B, C).
  Loss loss(const Pass& pass, const Tensor<T>& y) const {
    Loss out;
    out.cls = rivals::clamped_bce(pass.p_act, rivals::shared_labels(y));
    out.be = rivals::clamped_bce(
        pass.p_bkg, full<T>(y.shape(), 1 / static_cast<double>(options_.classes), y.device()));
    std::vector<Tensor<T>> uncertainty;
    for (std::size_t b = 0; b < pass.act.size(); ++b) {
      const Tensor<T> action = norm(mean(pass.act_features[b], 0), 0, false),
                      background = norm(mean(pass.bkg_features[b], 0), 0, false);
      uncertainty.push_back(square(add(relu(sub(T(options_.margin), action)), background)));
    }
    out.um = mean(stack(uncertainty, 0));
    out.total = add(add(out.cls, mul(out.be, T(options_.beta))), mul(out.um, T(options_.alpha)));
    return out;
  }
  Tensor<T> own_loss(const Tensor<T>& x, const Tensor<bool>& valid,
                     const Tensor<T>& y) const override {
    const nn::ModuleScope scope("um");
    const PrecisionScope products(options_.precision);
    detail::check_frames("um", x, options_.input, valid);
    return loss(classify(x, valid), y).total;
  }

  bool localizes() const override { return true; }
  std::vector<Detection> own_detections(const Tensor<float>& x,
                                        double seconds_per_row) const override {
    const NoGrad no_grad;
    const nn::ModuleScope scope("um");
    const PrecisionScope products(options_.precision);
    const std::int64_t n = x.size(0);
    const Tensor<std::int64_t> rows =
        from_vector<std::int64_t>(rivals::uniform_rows(n, std::min(n, options_.recipe.frames)));
    const Device device = conv.weight.device();
    const Tensor<T> taken = index_select(x, 0, rows).template to<T>().unsqueeze(0).to(device);
    const Tensor<bool> valid = ones<bool>({1, taken.size(1)}, device);
    detail::check_frames("um", taken, options_.input, valid);
    const Pass pass = classify(taken, valid);
    const auto doubles = [](const Tensor<T>& t) {
      return t.to(Device::cpu()).contiguous().template to<double>().to_vector();
    };
    return um_detections(
        {.scores = doubles(pass.p_act),
         .cas = doubles(softmax(pass.scores, -1)),
         .magnitudes = doubles(pass.magnitudes),
         .action = static_cast<double>(mean(norm(pass.act_features[0], -1, false)).item()),
         .background = static_cast<double>(mean(norm(pass.bkg_features[0], -1, false)).item())},
        n, seconds_per_row, options_);
  }
  /// The options it was made with.
  const UmOptions& options() const { return options_; }

  rivals::TemporalConv<T> conv, classifier;  ///< F → W, W → C
  rivals::Dropout<T> drop, select_drop;      ///< of the features, of the selection

 private:
  /// ‖x‖₂ along a dimension; the gradient of a zero vector is zero.
  static Tensor<T> norm(const Tensor<T>& x, int dim, bool keep) {
    return sqrt(clamp_min(sum(square(x), dim, keep), T(1e-30)));
  }
  static std::int64_t part(std::int64_t n, std::int64_t divisor) {
    return std::max<std::int64_t>(1, n / divisor);
  }
  /// The frames of action and of background of each video.
  void choose(Pass& pass, const std::vector<std::int64_t>& lengths,
              const Tensor<T>& selection) const {
    const NoGrad no_grad;
    const Tensor<T> n = pass.magnitudes.detach().squeeze(2);
    const Tensor<T> s = selection.defined() ? selection : select_drop.forward(ones_like(n));
    TANDEM_CHECK(s.shape() == n.shape(), "um", "expected a selection of shape ", n.shape(),
                 ", got ", s.shape());
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      const auto video = static_cast<std::int64_t>(b);
      const Tensor<T> of = n.select(0, video).slice(0, 0, lengths[b]),
                      by = s.select(0, video).slice(0, 0, lengths[b]);
      pass.act.push_back(topk(mul(by, of), part(lengths[b], options_.action_divisor), 0).indices);
      pass.bkg.push_back(
          topk(mul(by, sub(max(of), of)), part(lengths[b], options_.background_divisor), 0)
              .indices);
    }
  }
  /// (n − lo)/(hi − lo) of the chosen frames, (B, T, 1), not clipped.
  Tensor<T> relative(const Pass& pass) const {
    std::vector<Tensor<T>> out;
    for (std::size_t b = 0; b < pass.act.size(); ++b) {
      const Tensor<T> high = mean(norm(pass.act_features[b], -1, false)),
                      low = mean(norm(pass.bkg_features[b], -1, false)), range = sub(high, low);
      const Tensor<T> n = pass.magnitudes.select(0, static_cast<std::int64_t>(b));
      out.push_back(div(sub(n, low), range.item() > 0 ? range : ones_like(range)));
    }
    return stack(out, 0);
  }

  UmOptions options_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
