#pragma once
/// CO2-Net, cross-modal consensus, as a branch in CBP's place.
///     [Hong, Feng, Xu, Shan, Zheng: "Cross-modal Consensus Network for Weakly Supervised Temporal
///      Action Localization", MM 2021; marks: docs/method.md, C: as its public code does it]

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "tandem/ops/cat.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "tandem/wtal/rivals/co2_loss.hpp"
#include "tandem/wtal/rivals/cross_modal.hpp"
#include "tandem/wtal/rivals/log_odds.hpp"
#include "tandem/wtal/rivals/proposals.hpp"
#include "tandem/wtal/rivals/sampling.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The sizes and numbers of CO2-Net; all [C] unless marked.
struct Co2Options {
  rivals::CrossModalOptions streams = {};  ///< 1024 columns each
  /// Columns of CLIP behind those of RGB and flow: they join the RGB stream, since both are of what
  /// is seen in a picture, and flow stays the other modality. 0: none.  (reading)
  std::int64_t clip = 0;
  std::int64_t classes = 20;  ///< C
  double dropout = 0.7;
  rivals::Co2LossOptions loss = {};
  /// The code for ActivityNet pools S and the attentions over so many frames before the losses,
  /// zeros beyond the ends counted in the mean: 13 there; 0: no pooling. Its other numbers:
  /// activity_net().
  std::int64_t pool = 0;
  /// P from softmax_{C+1}(S~)  (reading: a·softmax_{C+1}(S)). Where a = 0 it is 1/(C + 1) for all
  /// classes, so that background labels need C ≥ 10.
  bool suppressed_frames = false;
  double class_threshold = 0.2;                 ///< q of a class to localize; none: the best one
  double sigma = 0.3;                           ///< of the soft suppression, IoU+1 in rows
  std::vector<double> thresholds = linspace();  ///< θ
  /// Its own training: Adam with L2 decay; the public README asks for 20000 steps.
  rivals::Recipe recipe = {.videos = rivals::VideoOrder::pairs,
                           .rows = rivals::RowChoice::stratified,
                           .batch = 10,
                           .pairs = 3,
                           .frames = 500,
                           .learning_rate = 5e-5,
                           .weight_decay = 1e-3,
                           .steps = 5000};
  Precision precision = Precision::full;  ///< of the products  (ours)

  /// The numbers of its code for ActivityNet, which also drops videos of ten rows or fewer; here
  /// they stay.
  static Co2Options activity_net() {
    Co2Options o;
    o.classes = 100;
    o.loss.divisor = 5;
    o.recipe.frames = 60;
    o.recipe.learning_rate = 3e-5;
    o.recipe.weight_decay = 5e-4;
    o.recipe.steps = 22000;
    o.pool = 2 * (o.recipe.frames / 5 / 2) + 1;
    return o;
  }

 private:
  /// 0.1 to 0.9 in ten.
  static std::vector<double> linspace() {
    std::vector<double> out;
    for (int i = 0; i < 10; ++i) out.push_back(i == 9 ? 0.9 : 0.1 + i * (0.8 / 9));
    return out;
  }
};

/// co2_video_scores — q = softmax_{C+1} of the mean of the max(1, ⌊T/10⌋) largest Z = S⊙a along
/// time, without the background.  S (T, C + 1) in the order of rows, a (T) → (C).               [C]
inline std::vector<double> co2_video_scores(std::span<const double> cas,
                                            std::span<const double> attention) {
  const std::size_t frames = attention.size();
  TANDEM_CHECK(frames > 0 && cas.size() % frames == 0 && cas.size() / frames >= 2, "co2",
               "expected scores (T, C + 1) and attention (T), got ", cas.size(), " and ", frames,
               " numbers");
  const std::size_t columns = cas.size() / frames, k = std::max<std::size_t>(1, frames / 10);
  std::vector<double> q, column(frames);
  for (std::size_t c = 0; c < columns; ++c) {
    for (std::size_t t = 0; t < frames; ++t) column[t] = cas[t * columns + c] * attention[t];
    std::partial_sort(column.begin(), column.begin() + static_cast<std::ptrdiff_t>(k), column.end(),
                      std::greater<>());
    double top = 0;
    for (std::size_t i = 0; i < k; ++i) top += column[i];
    q.push_back(top / static_cast<double>(k));
  }
  const double highest = *std::max_element(q.begin(), q.end());
  double total = 0;
  for (double& x : q) total += x = std::exp(x - highest);
  for (double& x : q) x /= total;
  q.pop_back();
  return q;
}

/// co2_detections — the method's own inference from S (T, C + 1) and a (T) of a whole video;
/// segments in rows.                                                                            [C]
///   Classes with q_c ≥ 0.2 are localized, else the best one. For each θ the runs of a > θ, the
///   same for every class, score by their contrast on Z_c = a·S_c, q_c the class score. All θ of a
///   class together: soft NMS.
inline std::vector<Detection> co2_detections(std::span<const double> cas,
                                             std::span<const double> attention,
                                             const Co2Options& options) {
  const std::vector<double> q = co2_video_scores(cas, attention);
  const std::size_t frames = attention.size(), columns = q.size() + 1;
  std::vector<std::size_t> chosen;
  for (std::size_t c = 0; c < q.size(); ++c) {
    if (q[c] >= options.class_threshold) chosen.push_back(c);
  }
  if (chosen.empty()) {
    chosen.push_back(static_cast<std::size_t>(std::max_element(q.begin(), q.end()) - q.begin()));
  }
  std::vector<Detection> proposals;
  std::vector<double> z(frames);
  for (const std::size_t c : chosen) {
    for (std::size_t t = 0; t < frames; ++t) z[t] = cas[t * columns + c] * attention[t];
    for (const double theta : options.thresholds) {
      for (const rivals::IndexRun& run :
           rivals::runs_of(frames, [&](std::size_t t) { return attention[t] > theta; })) {
        proposals.push_back({{static_cast<double>(run.first), static_cast<double>(run.last + 1)},
                             static_cast<int>(c),
                             rivals::contrast_score(z, run, q[c])});
      }
    }
  }
  return rivals::soft_nms(proposals, options.sigma);
}

/// The same of tensors (1, T, C + 1) and (1, T, 1), segments in seconds; `seconds_per_row` is how
/// long a row lasts.
template <FloatingElement T>
std::vector<Detection> co2_detections(const Tensor<T>& cas, const Tensor<T>& attention,
                                      const Co2Options& options, double seconds_per_row) {
  const auto doubles = [](const Tensor<T>& t) {
    return t.to(Device::cpu()).contiguous().template to<double>().to_vector();
  };
  std::vector<Detection> out = co2_detections(doubles(cas), doubles(attention), options);
  for (Detection& d : out) {
    d.segment.start *= seconds_per_row;
    d.segment.end *= seconds_per_row;
  }
  return out;
}

/// CO2-Net — RGB filtered by what flow says and flow by what RGB says; the attention of either is
/// the target of the other.
///   (a_v, r_v) = M_v(rgb, flow),  (a_f, r_f) = M_f(flow, rgb)      (rivals/cross_modal.hpp)
///   a = (a_v + a_f)/2,  h = Drop(LReLU(.2)(Conv(2048→2048, 1)([r_v; r_f])))
///   S = Conv(2048→C+1, 1)(Drop(LReLU(.2)(Conv(2048→2048, 3)(Drop(h)))))
///   The loss is rivals::co2_losses, on pairs of videos of one class.
///   In DCL (reading): P_c = a·softmax_{C+1}(S)_c, the background has the rest, 1 − Σ_c P_c; f = h;
///   the label-free terms are L_mut, norm and guide.
/// x (B, T, 2·stream + clip), columns RGB, flow, CLIP; with CLIP's the RGB stream is [rgb; clip],
/// and the fusion and the classifier are as much wider (reading). Names of the state are those of
/// the public checkpoints, which also have a `feat_encoder` that nothing reads: load them with
/// strict = false.
template <FloatingElement T>
class Co2Branch final : public Branch<T> {
 public:
  Co2Branch(const Co2Options& options, Generator& random)
      : rgb(rivals::CrossModalPair::of("co2", options.streams, options.clip).rgb, random),
        flow(rivals::CrossModalPair::of("co2", options.streams, options.clip).flow, random),
        fusion(width(options), width(options), 1, random, true, options.streams.init),
        classifier_1(width(options), width(options), 3, random, true, options.streams.init),
        classifier_4(width(options), options.classes + 1, 1, random, true, options.streams.init),
        drop_fusion(options.dropout),
        drop_0(options.dropout),
        drop_3(options.dropout),
        options_(options) {
    TANDEM_CHECK(!options.streams.autoencoder, "co2", "CO2-Net has no auto-encoder");
    TANDEM_CHECK(options.pool >= 0 && (options.pool == 0 || options.pool % 2 == 1), "co2",
                 "the window of the pooling must be odd, or 0 for none; it is ", options.pool);
    this->add("vAttn", rgb);
    this->add("fAttn", flow);
    this->add("fusion.0", fusion);
    this->add("fusion.2", drop_fusion);
    this->add("classifier.0", drop_0);
    this->add("classifier.1", classifier_1);
    this->add("classifier.3", drop_3);
    this->add("classifier.4", classifier_4);
  }

  /// All that the network says of a batch.
  struct Pass {
    rivals::Co2Scores<T> scores;            ///< h, S, a, a_v, a_f
    rivals::CrossModalOutput<T> rgb, flow;  ///< of the two modules
  };
  /// The network on rows x (B, T, 2·stream + clip).
  Pass classify(const Tensor<T>& x, const Tensor<bool>& valid) const {
    const auto in = rivals::Streams<T>::of(x, options_.streams.stream, options_.clip);
    Pass out;
    out.rgb = rgb.forward(in.rgb, in.flow, valid);
    out.flow = flow.forward(in.flow, in.rgb, valid);
    const Tensor<T> both = cat(std::vector<Tensor<T>>{out.rgb.filtered, out.flow.filtered}, -1);
    rivals::Co2Scores<T>& s = out.scores;
    s.rgb_attention = out.rgb.attention;
    s.flow_attention = out.flow.attention;
    s.attention = mul(add(s.rgb_attention, s.flow_attention), T(0.5));
    s.features = drop_fusion.forward(leaky_relu(fusion.forward(both), 0.2));
    const Tensor<T> hidden =
        leaky_relu(classifier_1.forward(drop_0.forward(s.features), valid), 0.2);
    s.cas = classifier_4.forward(drop_3.forward(hidden));
    return out;
  }

  BranchOutput<T> forward(const Tensor<T>& x, const Tensor<bool>& valid,
                          const Tensor<bool>& wanted = {}) const override {
    static_cast<void>(wanted);  // the frames beside the wanted ones are read by convolutions
    const nn::ModuleScope scope("co2");
    const PrecisionScope products(options_.precision);
    detail::check_frames("co2", x, width(options_), valid);
    const Pass pass = classify(x, valid);
    const Tensor<T> odds = rivals::log_odds(frame_logits(pass));
    const std::int64_t c = options_.classes;
    return {.features = pass.scores.features,
            .logits = odds.slice(2, 0, c),
            .background = odds.slice(2, c, c + 1),
            .attention = pass.scores.attention,
            .label_free =
                rivals::co2_losses(pooled(pass.scores), {}, valid, loss_options()).regulariser};
  }

  const rivals::Recipe* recipe() const override { return &options_.recipe; }

  /// L and its parts. A batch of fewer videos than the pairs have is one without pairs.
  rivals::Co2Losses<T> loss(const Pass& pass, const Tensor<T>& y, const Tensor<bool>& valid) const {
    rivals::Co2LossOptions o = loss_options();
    o.pairs = std::min(o.pairs, y.size(0) / 2);
    return rivals::co2_losses(pooled(pass.scores), y, valid, o);
  }
  Tensor<T> own_loss(const Tensor<T>& x, const Tensor<bool>& valid,
                     const Tensor<T>& y) const override {
    const nn::ModuleScope scope("co2");
    const PrecisionScope products(options_.precision);
    detail::check_frames("co2", x, width(options_), valid);
    return loss(classify(x, valid), y, valid).total;
  }

  bool localizes() const override { return true; }
  std::vector<Detection> own_detections(const Tensor<float>& x,
                                        double seconds_per_row) const override {
    const NoGrad no_grad;
    const nn::ModuleScope scope("co2");
    const PrecisionScope products(options_.precision);
    const Device device = fusion.weight.device();
    const Tensor<T> rows = x.template to<T>().unsqueeze(0).to(device);
    const Tensor<bool> valid = ones<bool>({1, rows.size(1)}, device);
    detail::check_frames("co2", rows, width(options_), valid);
    const rivals::Co2Scores<T> s = pooled(classify(rows, valid).scores);
    return co2_detections(s.cas, s.attention, options_, seconds_per_row);
  }
  /// The options it was made with.
  const Co2Options& options() const { return options_; }

  /// What the losses and its own inference read: S and the attentions, pooled where that is asked
  /// for.
  rivals::Co2Scores<T> pooled(const rivals::Co2Scores<T>& s) const {
    if (options_.pool == 0) return s;
    return {.features = s.features,
            .cas = pool(s.cas),
            .attention = pool(s.attention),
            .rgb_attention = pool(s.rgb_attention),
            .flow_attention = pool(s.flow_attention)};
  }

  rivals::CrossModal<T> rgb, flow;                             ///< vAttn, fAttn
  rivals::TemporalConv<T> fusion, classifier_1, classifier_4;  ///< fusion.0, classifier.1 and .4
  rivals::Dropout<T> drop_fusion, drop_0, drop_3;              ///< fusion.2, classifier.0 and .3

 private:
  static std::int64_t width(const Co2Options& o) { return 2 * o.streams.stream + o.clip; }
  rivals::Co2LossOptions loss_options() const {
    rivals::Co2LossOptions o = options_.loss;
    o.pairs = options_.recipe.pairs;
    return o;
  }
  Tensor<T> pool(const Tensor<T>& x) const { return rivals::pooled_over_time(x, options_.pool); }
  /// Logits whose softmax is P and, in the last column, the background.
  Tensor<T> frame_logits(const Pass& pass) const {
    const rivals::Co2Scores<T>& s = pass.scores;
    if (options_.suppressed_frames) return rivals::suppressed_cas(s.cas, s.attention);
    // 1 − a from the logits, so that it is not rounded to 0 where a is nearly 1
    const Tensor<T> rest =
        mul(add(sigmoid(neg(pass.rgb.raw)), sigmoid(neg(pass.flow.raw))), T(0.5));
    return rivals::attended_logits(s.cas, s.attention, rest);
  }

  Co2Options options_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
