#pragma once
/// BaS-Net, background suppression, as a branch in CBP's place.
///     [Lee, Uh, Byun: "Background Suppression Network for Weakly-supervised Temporal Action
///      Localization", AAAI 2020; marks: docs/method.md, C: as its public code does it]

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/rivals/dropout.hpp"
#include "tandem/wtal/rivals/log_odds.hpp"
#include "tandem/wtal/rivals/losses.hpp"
#include "tandem/wtal/rivals/proposals.hpp"
#include "tandem/wtal/rivals/temporal_conv.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The sizes and numbers of BaS-Net; all [C] unless marked.
struct BasNetOptions {
  std::int64_t input = 2048;  ///< F, I3D columns
  std::int64_t classes = 20;  ///< C
  std::int64_t width = 2048;  ///< of the two convolutions before the scores
  std::int64_t filter_width = 512;
  double dropout = 0.7;
  double alpha = 1e-4;            ///< weight of the norm of the filter
  std::int64_t topk_divisor = 8;  ///< k = ⌊T/8⌋: 93 for T = 750
  bool base_frames = false;       ///< P from S_base  (reading: from S_supp)
  double class_threshold = 0.25;  ///< p_supp of a class to localize
  double nms = 0.7;               ///< hard, IoU+1
  std::vector<double> thresholds = {0,     0.025, 0.05,  0.075, 0.1,
                                    0.125, 0.15,  0.175, 0.2,   0.225};  ///< θ
  /// Its own training: Adam with L2 decay, 1500 steps. The public loop loses its iterator after the
  /// first epoch: from then on each step shuffles all videos and takes the first ones.
  rivals::Recipe recipe = {.videos = rivals::VideoOrder::one_epoch,
                           .rows = rivals::RowChoice::stratified,
                           .batch = 16,
                           .frames = 750,
                           .learning_rate = 1e-4,
                           .weight_decay = 5e-4,
                           .steps = 1500};
  Precision precision = Precision::full;  ///< of the products  (ours)
};

/// basnet_detections — the method's own inference from S_supp (T, C + 1), in the order of rows, and
/// p_supp (C + 1) of a video of n rows, of which T were taken evenly.                          [C]
///   v_c = 1 if p_supp,c ≥ 0.25, else 0: classes with 1 are localized, and 1 is the class score.
///   A = min_max_zero(S_c) over time, stretched 24 times; for each θ, m = A where A ≥ θ, else 0;
///   runs of m > 0 score by their contrast on m; all θ of a class together: hard NMS.
///   Quirk: if no class is 1, or class 0 alone, nothing is found. A class without a positive frame
///   gives no proposal (reading; the public code crashes).
///   Index j of the stretched map is at second j·s·n/(24·T), s = seconds_per_row.
inline std::vector<Detection> basnet_detections(std::span<const double> scores,
                                                std::span<const double> video, std::int64_t n,
                                                double seconds_per_row,
                                                const BasNetOptions& options) {
  const std::size_t columns = video.size(), classes = columns - 1;
  TANDEM_CHECK(columns >= 2 && scores.size() % columns == 0, "basnet", "expected scores (T, ",
               columns, "), got ", scores.size(), " numbers");
  const std::size_t frames = scores.size() / columns;
  std::vector<std::size_t> chosen;
  for (std::size_t c = 0; c < classes; ++c) {
    if (video[c] >= options.class_threshold) chosen.push_back(c);
  }
  if (chosen.empty() || (chosen.size() == 1 && chosen[0] == 0)) return {};
  const double unit = seconds_per_row * static_cast<double>(n) / (24 * static_cast<double>(frames));
  std::vector<Detection> proposals;
  std::vector<double> curve(frames);
  for (const std::size_t c : chosen) {
    for (std::size_t t = 0; t < frames; ++t) curve[t] = scores[t * columns + c];
    const std::vector<double> map = rivals::stretch(rivals::min_max_zero(curve), 24);
    for (const double theta : options.thresholds) {
      std::vector<double> above = map;
      for (double& m : above) m = m < theta ? 0 : m;
      for (const rivals::IndexRun& run :
           rivals::runs_of(above.size(), [&](std::size_t j) { return above[j] > 0; })) {
        proposals.push_back(
            {{static_cast<double>(run.first) * unit, static_cast<double>(run.last + 1) * unit},
             static_cast<int>(c),
             rivals::contrast_score(above, run, 1)});
      }
    }
  }
  return rivals::hard_nms(proposals, options.nms);
}

/// BaS-Net — a filter weighs the frames, and one classifier of C + 1 classes, the last of them
/// background, reads the rows as they are and weighed.
///   w = σ(Conv(512→1, 1)(LReLU(Conv(F→512, 1)(X))))                               (B, T, 1)
///   CAS(Z) = Conv(W→C+1, 1, no bias)(Drop(LReLU(Conv(W→W, 3)(LReLU(Conv(F→W, 3)(Z))))))
///   S_base = CAS(X),  S_supp = CAS(w ⊙ X): the same weights, dropout masks of their own.
///   p = softmax_{C+1}(mean of the ⌊T/8⌋ largest S along time), for either.
///   ȳ_base = [y, 1]/Σ,  ȳ_supp = [y, 0]/Σ
///   L = BCE(p_base, ȳ_base) + BCE(p_supp, ȳ_supp) + α·mean_b Σ_t w
///   In DCL (reading): P = softmax_{C+1}(S_supp) without its last column, which is the background;
///   f = what the classifier's dropout reads in the suppressed pass; the label-free term is the
///   norm.
/// Names of the state are those of the public checkpoints.
template <FloatingElement T>
class BasNetBranch final : public Branch<T> {
 public:
  BasNetBranch(const BasNetOptions& options, Generator& random)
      : filter_1(options.input, options.filter_width, 1, random),
        filter_2(options.filter_width, 1, 1, random),
        conv_1(options.input, options.width, 3, random),
        conv_2(options.width, options.width, 3, random),
        conv_3(options.width, options.classes + 1, 1, random, false),
        drop(options.dropout),
        options_(options) {
    this->add("filter_module.conv_1.0", filter_1);
    this->add("filter_module.conv_2.0", filter_2);
    this->add("cas_module.conv_1.0", conv_1);
    this->add("cas_module.conv_2.0", conv_2);
    this->add("cas_module.conv_3.0", conv_3);
    this->add("cas_module.drop_out", drop);
  }

  /// One pass of the classifier.
  struct Pass {
    Tensor<T> features;  ///< (B, T, W), before dropout
    Tensor<T> scores;    ///< S (B, T, C + 1)
    Tensor<T> video;     ///< p (B, C + 1)
  };
  /// w (B, T, 1).
  Tensor<T> filter(const Tensor<T>& x) const {
    return sigmoid(filter_2.forward(leaky_relu(filter_1.forward(x), 0.01)));
  }
  Pass classify(const Tensor<T>& z, const Tensor<bool>& valid) const {
    return classified(conv_1.forward(z, valid), valid);
  }
  /// Two passes.
  struct Passes {
    Pass base, supp;  ///< of x, of w ⊙ x
  };
  /// Both passes. conv_1 multiplies the rows once for the two of them, and no gradient by the rows:
  /// that spares 0.9 of the 3.4 TFLOP of a training step at the published sizes.
  Passes classify_both(const Tensor<T>& x, const Tensor<T>& w, const Tensor<bool>& valid) const {
    std::vector<Tensor<T>> products = conv_1.products(x, valid);
    Passes out;
    out.base = classified(conv_1.gathered(products), valid);  // the base branch drops out first
    for (Tensor<T>& p : products) p = mul(w, p);
    out.supp = classified(conv_1.gathered(products), valid);
    return out;
  }

  BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                          const Tensor<bool>& wanted = {}) const override {
    static_cast<void>(wanted);  // the frames beside the wanted ones are read by convolutions
    const nn::ModuleScope scope("basnet");
    const PrecisionScope products(options_.precision);
    detail::check_frames("basnet", x, options_.input, valid);
    const Tensor<T> w = filter(x);
    const Pass supp = classify(mul(w, x), valid);
    const Tensor<T> odds =
        rivals::log_odds(options_.base_frames ? classify(x, valid).scores : supp.scores);
    return {.features = supp.features,
            .logits = odds.slice(2, 0, options_.classes),
            .background = odds.slice(2, options_.classes, options_.classes + 1),
            .attention = w,
            .label_free = mul(norm(w, valid), T(options_.alpha))};
  }

  const rivals::Recipe* recipe() const override { return &options_.recipe; }

  /// L and its parts.
  struct Loss {
    Tensor<T> base, supp, norm, total;  ///< norm: before α
  };
  /// Of a batch with labels y (B, C), from its filter and both passes.
  Loss loss(const Tensor<T>& w, const Pass& base, const Pass& supp, const Tensor<T>& y,
            const Tensor<bool>& valid) const {
    const auto with_background = [&y](double b) {
      const Tensor<T> all =
          cat(std::vector<Tensor<T>>{y, full<T>({y.size(0), 1}, T(b), y.device())}, 1);
      return rivals::shared_labels(all);
    };
    Loss out;
    out.base = rivals::clamped_bce(base.video, with_background(1));
    out.supp = rivals::clamped_bce(supp.video, with_background(0));
    out.norm = norm(w, valid);
    out.total = add(add(out.base, out.supp), mul(out.norm, T(options_.alpha)));
    return out;
  }
  Tensor<T> own_loss(const Tensor<T>& x, const Tensor<bool>& valid,
                     const Tensor<T>& y) const override {
    const nn::ModuleScope scope("basnet");
    const PrecisionScope products(options_.precision);
    detail::check_frames("basnet", x, options_.input, valid);
    const Tensor<T> w = filter(x);
    const Passes both = classify_both(x, w, valid);
    return loss(w, both.base, both.supp, y, valid).total;
  }

  bool localizes() const override { return true; }
  std::vector<Detection> own_detections(const Tensor<float>& x,
                                        double seconds_per_row) const override {
    const NoGrad no_grad;
    const nn::ModuleScope scope("basnet");
    const PrecisionScope products(options_.precision);
    const std::int64_t n = x.size(0);
    const Device device = conv_1.weight.device();
    const Tensor<std::int64_t> rows =
        from_vector<std::int64_t>(rivals::uniform_rows(n, options_.recipe.frames));
    const Tensor<T> taken = index_select(x, 0, rows).template to<T>().unsqueeze(0).to(device);
    const Pass supp = classify(mul(filter(taken), taken), ones<bool>({1, taken.size(1)}, device));
    const auto doubles = [](const Tensor<T>& t) {
      return t.to(Device::cpu()).contiguous().template to<double>().to_vector();
    };
    return basnet_detections(doubles(supp.scores), doubles(supp.video), n, seconds_per_row,
                             options_);
  }
  /// Those it was made with.
  const BasNetOptions& options() const { return options_; }

  rivals::TemporalConv<T> filter_1, filter_2;      ///< of the filter
  rivals::TemporalConv<T> conv_1, conv_2, conv_3;  ///< of the classifier
  rivals::Dropout<T> drop;                         ///< before conv_3

 private:
  /// What the classifier says behind conv_1.
  Pass classified(const Tensor<T>& first, const Tensor<bool>& valid) const {
    Pass out;
    out.features = leaky_relu(conv_2.forward(leaky_relu(first, 0.01), valid), 0.01);
    out.scores = conv_3.forward(drop.forward(out.features));
    const auto count = [this](std::int64_t n) {
      return std::max<std::int64_t>(1, n / options_.topk_divisor);
    };
    out.video = softmax(rivals::top_mean(out.scores, rivals::lengths_of(valid), count), -1);
    return out;
  }
  /// mean_b Σ_t w over valid frames.
  Tensor<T> norm(const Tensor<T>& w, const Tensor<bool>& valid) const {
    const double videos = static_cast<double>(std::max<std::int64_t>(1, w.size(0)));
    return mul(sum(rivals::without_padding(w, valid)), T(1 / videos));
  }

  BasNetOptions options_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
