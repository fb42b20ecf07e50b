#pragma once
/// The branches that a run of train_dcl needs, and what they are asked between the steps.

#include <memory>
#include <optional>
#include <string>

#include "dcl_cbp.hpp"
#include "dcl_data.hpp"
#include "step_memory.hpp"
#include "tandem/wtal/detect/label_census.hpp"

namespace dcl {

/// CBP, VLP or both, by what the run reads. The other, its rows and the text encoder need not
/// exist.
class Branches {
 public:
  Branches(const Options& o, const Data& data, Generator& random)
      : o_(o), device_(cli::open_device("train_dcl", o.device)) {
    const Reads need = reads(o);
    const SubsetSource& train = *data.train;
    const std::int64_t i3d = data.all->i3d_columns(), clip = data.all->clip_columns();
    TANDEM_CHECK(!need.vlp || o.vlp.layers == 0 || clip % o.vlp.heads == 0, "train_dcl",
                 "the CLIP rows have ", clip, " columns, which --temporal-heads ", o.vlp.heads,
                 " does not divide");
    if (need.vlp) text_ = open_text(o, train.truth().classes, clip);
    if (need.vlp) check_prompts(o);
    const auto classes = static_cast<std::int64_t>(train.classes());
    const std::int64_t input = i3d + (o.concat_clip ? clip : 0);
    if (device_.is_cpu()) check_memory(data, input, input - i3d, classes, need);
    if (need.cbp) cbp_ = make_cbp(o, input, input - i3d, classes, random);
    if (need.vlp) {
      VlpOptions v = o.vlp;
      v.width = clip;
      PromptLearner<float>::Options prompts = o.prompts;
      prompts.start_token = text_.tokens.start;
      prompts.end_token = text_.tokens.end;
      vlp_ =
          std::make_unique<VlpBranch<float>>(v, text_.encoder, text_.tokens.names, prompts, random);
    }
    // They start the same on every device, and a trainer finds them where they learn.
    if (device_.is_cpu()) return;
    if (cbp_) cbp_->to(device_);
    if (vlp_) vlp_->to(device_), text_.encoder->to(device_);
  }

  /// Null: not needed.
  Branch<float>* cbp() const { return cbp_.get(); }
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
  /// calibrated pseudo-labels keep, undefined for the others; `use(v, p, rule)` with the branch's
  /// scores of each video and what makes labels of them.
  template <class Visit, class Use>
  std::optional<Judgement> judge_cbp(const VideoSource& source, const Tensor<float>& shares,
                                     Visit&& visit, Use&& use) const {
    if (!cbp_) return std::nullopt;
    return judge(
        *cbp_, source, [&](std::size_t v) { return visit(v), source.i3d(v); }, o_.train.cbp_reading,
        shares, use);
  }
  template <class Visit, class Use>
  std::optional<Judgement> judge_vlp(const VideoSource& source, const Tensor<float>& shares,
                                     Visit&& visit, Use&& use) const {
    if (!vlp_) return std::nullopt;
    return judge(
        *vlp_, source, [&](std::size_t v) { return visit(v), source.clip(v); },
        o_.train.vlp_reading, shares, use);
  }

 private:
  template <class Features, class Use>
  Judgement judge(Branch<float>& branch, const VideoSource& source, Features&& features,
                  Reading reading, const Tensor<float>& shares, Use&& use) const {
    const nn::Evaluating<float> evaluating{&branch};
    Judgement out{LabelCensus(o_.train.pseudo.high, o_.train.pseudo.low), PseudoLabelQuality()};
    const PseudoLabelOptions rule = o_.train.pseudo.judging(shares.defined());
    for_each_scored(branch, source, features, reading, [&](std::size_t v, const Tensor<float>& p) {
      const VideoTruth& truth = source.truth().videos[v];
      out.census.add(p, truth);
      use(v, p, rule);
      if (!truth.instances.empty()) judge_video(out.quality, source, v, p, rule, shares);
    });
    return out;
  }

  /// Refuses prompts that the text encoder has no room for.
  void check_prompts(const Options& o) const {
    const std::int64_t context = text_.encoder->options().context;
    for (std::size_t c = 0; c < text_.tokens.names.size(); ++c) {
      const auto name = static_cast<std::int64_t>(text_.tokens.names[c].size()),
                 all = name + 2 * o.prompts.vectors + 2;
      TANDEM_CHECK(all <= context, "train_dcl", "with --prompt-vectors ", o.prompts.vectors,
                   " the prompt of class ", c, ", whose name has ", name, " tokens, has ", all,
                   ": the text encoder reads ", context, " at most");
    }
  }

  /// Refuses what cannot be a step on this machine, or without steps what cannot be there at all,
  /// before anything of its size is made. A method's own warm-up has batches of its own.
  void check_memory(const Data& data, std::int64_t input, std::int64_t clip, std::int64_t classes,
                    const Reads& need) const {
    const std::vector<Phase> phases = training_phases(o_.train);
    const std::int64_t longest =
        *std::max_element(data.train_lengths.begin(), data.train_lengths.end());
    cli::StepSize size{.videos = o_.train.batch,
                       .rows = std::min(o_.train.crop, longest),
                       .columns = (need.i3d ? data.all->i3d_columns() : 0) +
                                  (need.clip ? data.all->clip_columns() : 0)};
    if (need.vlp) {
      size.vlp = {.classes = classes,
                  .width = data.all->clip_columns(),
                  .layers = o_.vlp.layers,
                  .mlp_ratio = o_.vlp.mlp_ratio,
                  .all_frames = o_.train.every_entry};
    }
    cli::MemoryOptions names;
    bool own_alone = false;
    if (need.cbp) {
      const CbpSize cbp = cbp_size(o_, input, clip, classes);
      if (cbp.own) names.parameters = width_option();
      const bool warm_up = !phases.empty() && phases[0].kind == Phase::Kind::warm_up;
      if (cbp.own && warm_up && o_.train.own_warm_up) {
        own_alone = phases.size() == 1;
        check_own_warm_up(cbp, size, data, longest);
      }
      size.cbp = cbp.scores;
      size.cbp->all_frames = o_.train.every_entry || warm_up;
    }
    if (own_alone) return;
    if (phases.empty())
      return cli::check_parameter_memory("train_dcl", size, cli::memory_limit(), names);
    for (const Phase& phase : phases) {
      if (phase.kind != Phase::Kind::b) continue;
      const clip::TextEncoderOptions& text = text_.encoder->options();
      size.text_rows = 0;
      for (const auto& ids : text_.tokens.names)
        size.text_rows += static_cast<std::int64_t>(ids.size()) + o_.prompts.vectors;
      size.text_width = text.width;
      size.text_layers = text.layers;
    }
    cli::check_step_memory("train_dcl", size, cli::memory_limit(), names);
  }
  /// The same of the batches of a method's recipe; `size` is that of the other steps.
  void check_own_warm_up(const CbpSize& cbp, cli::StepSize size, const Data& data,
                         std::int64_t longest) const {
    const rivals::Recipe& recipe = cbp.recipe;
    const bool in_pairs = recipe.videos == rivals::VideoOrder::pairs ||
                          recipe.videos == rivals::VideoOrder::pairs_with_repeats;
    size.videos =
        in_pairs ? recipe.batch
                 : std::min(recipe.batch, static_cast<std::int64_t>(data.train_lengths.size()));
    size.rows = recipe.rows == rivals::RowChoice::stratified ? recipe.frames
                                                             : std::min(recipe.frames, longest);
    size.cbp = cbp.own;
    size.vlp.reset();
    cli::check_step_memory(
        "train_dcl", size, cli::memory_limit(),
        {.frames = "--method-batch or --method-rows", .parameters = width_option()});
  }
  /// What decides the parameters of a method in CBP's place.
  const char* width_option() const {
    return o_.cbp_method == "wtalc" ? "the columns of the rows" : "--method-width";
  }

  const Options& o_;
  const Device device_;
  Text text_;
  std::unique_ptr<Branch<float>> cbp_;
  std::unique_ptr<VlpBranch<float>> vlp_;
};

}  // namespace dcl
