#pragma once
/// The branches that a run of train_dcl needs, and what they are asked between the steps.

#include <memory>
#include <optional>
#include <string>

#include "dcl_data.hpp"
#include "tandem/wtal/detect/label_census.hpp"

namespace dcl {

/// CBP, VLP or both, by what the run reads. The other, its rows and the text encoder need not
/// exist.
class Branches {
 public:
  Branches(const Options& o, const Data& data, Generator& random) : o_(o) {
    const Reads need = reads(o);
    const SubsetSource& train = *data.train;
    const std::int64_t i3d = data.all->i3d_columns(), clip = data.all->clip_columns();
    if (need.vlp) text_ = open_text(o, train.truth().classes, clip);
    if (need.cbp) {
      CbpOptions c = o.cbp;
      c.classes = static_cast<std::int64_t>(train.classes());
      c.input = i3d + (o.concat_clip ? clip : 0);
      cbp_ = std::make_unique<CbpBranch<float>>(c, random);
    }
    if (need.vlp) {
      VlpOptions v = o.vlp;
      v.width = clip;
      PromptLearner<float>::Options prompts = o.prompts;
      prompts.start_token = text_.tokens.start;
      prompts.end_token = text_.tokens.end;
      vlp_ =
          std::make_unique<VlpBranch<float>>(v, text_.encoder, text_.tokens.names, prompts, random);
    }
  }

  /// Null: not needed.
  CbpBranch<float>* cbp() const { return cbp_.get(); }
  VlpBranch<float>* vlp() const { return vlp_.get(); }
  const Text& text() const { return text_; }

  /// "CBP 1000, VLP 2000 parameters"
  std::string description() const {
    std::string out;
    if (cbp_) out += concat("CBP ", cbp_->parameter_count());
    if (vlp_) out += concat(out.empty() ? "" : ", ", "VLP ", vlp_->parameter_count());
    return out + " parameters";
  }

  /// What the run's scores find in every video.
  template <class Progress>
  DetectionSet detect(const VideoSource& source, Progress&& progress) const {
    const nn::Evaluating<float> evaluating{cbp_.get(), vlp_.get()};
    return wtal::detect<float>(cbp_.get(), vlp_.get(), source, o_.inference,
                               std::forward<Progress>(progress));
  }

  /// What a branch says of the training videos: how it labels them and, where they are annotated,
  /// how good its pseudo-labels are.
  struct Judgement {
    LabelCensus census;
    PseudoLabelQuality quality;
  };
  /// Nothing where the branch is not there. `visit(v)` before each video; `shares` is what
  /// calibrated pseudo-labels keep, undefined for the others.
  template <class Visit>
  std::optional<Judgement> judge_cbp(const VideoSource& source, const Tensor<float>& shares,
                                     Visit&& visit) const {
    if (!cbp_) return std::nullopt;
    return judge(
        *cbp_, source, [&](std::size_t v) { return visit(v), source.i3d(v); }, o_.train.cbp_reading,
        shares);
  }
  template <class Visit>
  std::optional<Judgement> judge_vlp(const VideoSource& source, const Tensor<float>& shares,
                                     Visit&& visit) const {
    if (!vlp_) return std::nullopt;
    return judge(
        *vlp_, source, [&](std::size_t v) { return visit(v), source.clip(v); },
        o_.train.vlp_reading, shares);
  }

 private:
  template <class Features>
  Judgement judge(Branch<float>& branch, const VideoSource& source, Features&& features,
                  Reading reading, const Tensor<float>& shares) const {
    const nn::Evaluating<float> evaluating{&branch};
    Judgement out{LabelCensus(o_.train.pseudo.high, o_.train.pseudo.low), PseudoLabelQuality()};
    PseudoLabelOptions rule = o_.train.pseudo;
    // Before the shares are known, the thresholds are what there is.
    if (!shares.defined() && rule.rule == PseudoLabelRule::calibrated)
      rule.rule = PseudoLabelRule::thresholds;
    for_each_scored(branch, source, features, reading, [&](std::size_t v, const Tensor<float>& p) {
      const VideoTruth& truth = source.truth().videos[v];
      out.census.add(p, truth);
      if (!truth.instances.empty()) judge_video(out.quality, source, v, p, rule, shares);
    });
    return out;
  }

  const Options& o_;
  Text text_;
  std::unique_ptr<CbpBranch<float>> cbp_;
  std::unique_ptr<VlpBranch<float>> vlp_;
};

}  // namespace dcl
