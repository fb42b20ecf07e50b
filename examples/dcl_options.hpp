#pragma once
/// The options of train_dcl: what follows from them and what does not go together.

#include <string>
#include <vector>

#include "dcl_option_table.hpp"

namespace dcl {

/// Which rule makes the pseudo-labels of a run, in a sentence; "" where none are made.
inline std::string labels_sentence(const Options& o) {
  const TrainerOptions& t = o.train;
  if (t.variant == Variant::warm_up || t.variant == Variant::vanilla_vlp) return "";
  const PseudoLabelOptions& p = t.pseudo;
  const auto thresholds = [](double high, double low) {
    return concat("foreground above ", cli::number_text(high), ", background below ",
                  cli::number_text(low));
  };
  switch (p.rule) {
    case PseudoLabelRule::thresholds:
      return concat("the paper's thresholds, ", thresholds(p.high, p.low));
    case PseudoLabelRule::calibrated:
      return concat("calibrated, ", thresholds(p.high, p.low),
                    " once each video has the share of foreground that it had after the warm-up");
    case PseudoLabelRule::ranked:
      return concat("ranked, the first ", cli::number_text(100 * p.ranked_foreground),
                    " % of a video's frames are foreground, the last ",
                    cli::number_text(100 * p.ranked_background),
                    " % background (the paper's: --pseudo-labels thresholds)");
    case PseudoLabelRule::min_max:
      return concat("min-max, ", thresholds(p.min_max_high, p.min_max_low),
                    " of the scores normalised per video");
    case PseudoLabelRule::oracle:
      return "the annotated segments of the training videos: a ceiling, not a result";
  }
  return "";
}

/// What does not go together is refused, before anything is read.
inline void check_options(const Options& o) {
  const auto number = [](auto value) { return cli::number_text(value); };
  TANDEM_CHECK(o.train.pseudo.low <= o.train.pseudo.high, "options",
               "--low must not exceed --high: they are ", number(o.train.pseudo.low), " and ",
               number(o.train.pseudo.high));
  TANDEM_CHECK(o.train.pseudo.min_max_low <= o.train.pseudo.min_max_high, "options",
               "--min-max-low must not exceed --min-max-high: they are ",
               number(o.train.pseudo.min_max_low), " and ", number(o.train.pseudo.min_max_high));
  TANDEM_CHECK(o.train.pseudo.ranked_foreground + o.train.pseudo.ranked_background <= 1, "options",
               "--ranked-foreground and --ranked-background must not be above 1 in all: they are ",
               number(o.train.pseudo.ranked_foreground), " and ",
               number(o.train.pseudo.ranked_background));
  TANDEM_CHECK(o.train.pseudo.ranked_foreground + o.train.pseudo.ranked_background > 0, "options",
               "--ranked-foreground and --ranked-background are both 0: nothing would be taught");
  TANDEM_CHECK(o.cbp.width % o.cbp.heads == 0, "options",
               "--width must be a multiple of --heads: they are ", o.cbp.width, " and ",
               o.cbp.heads);
  TANDEM_CHECK(!o.random_text_encoder ||
                   (o.clip_weights.empty() && o.vocabulary.empty() && o.tokens.empty()),
               "options",
               "--random-text-encoder excludes --clip-weights, --vocabulary and --tokens");
  TANDEM_CHECK(o.vocabulary.empty() || o.tokens.empty(), "options",
               "--vocabulary and --tokens exclude each other");
  const optim::Schedule& schedule = o.train.schedule;
  TANDEM_CHECK(schedule.kind != optim::Schedule::Kind::cosine || schedule.total == 0 ||
                   schedule.total > schedule.warmup,
               "options", "--schedule cosine needs more steps in all (", schedule.total,
               ") than --schedule-warm-up (", schedule.warmup, ")");
}

/// What only some methods of --cbp have.
inline void check_method(const Options& o) {
  const MethodOptions& m = o.method;
  const bool transformer = o.cbp_method == "transformer", basnet = o.cbp_method == "basnet",
             co2 = o.cbp_method == "co2", um = o.cbp_method == "um";
  const auto only = [&](const char* option, bool given, bool has) {
    TANDEM_CHECK(!given || has, "options", option, " is none of --cbp ", o.cbp_method);
  };
  only("--method-inference own", m.inference == "own", !transformer);
  only("--method-width", m.width > 0, basnet || co2 || um);
  only("--method-batch", m.batch > 0, !transformer);
  only("--method-rows", m.rows > 0, !transformer);
  only("--method-learning-rate", m.learning_rate > 0, !transformer);
  only("--method-weight-decay", m.weight_decay != -1, !transformer);
  only("--basnet-base-frames", m.basnet_base_frames, basnet);
  only("--co2-suppressed-frames", m.co2_suppressed_frames, co2);
  only("--co2-activitynet", m.co2_activitynet, co2);
  only("--um-relative-magnitudes", m.um_relative_magnitudes, um);
  only("--no-background-labels", m.no_background_labels, basnet || co2 || um);
  only("--teach-attention", o.train.teach_attention, basnet || co2 || um);
  only("--keep-regularisers", o.train.keep_regularisers, basnet || co2);
  only("--cbp-scale", o.cbp.scale != 1, transformer);
  only("--cbp-reading softmax", o.cbp_reading == "softmax", transformer);
  TANDEM_CHECK(m.weight_decay >= 0 || m.weight_decay == -1, "options",
               "--method-weight-decay must not be negative, or be -1: it is ",
               cli::number_text(m.weight_decay));
  TANDEM_CHECK(m.inference != "own" || o.fusion == "cbp", "options",
               "--method-inference own is of CBP alone, not of --fusion ", o.fusion,
               "; --fusion cbp goes with it");
}

/// The precision of all products, by its name on the command line.
inline void set_precision(Options& o, const std::string& name) {
  o.precision = name == "fp32" ? "float" : name;  // as checkpoints have it
  o.cbp.precision = o.vlp.precision = name == "bf16"   ? Precision::bfloat16
                                      : name == "tf32" ? Precision::tf32
                                                       : Precision::full;
}

/// Turns the words into the enums, shares what two parts need, and refuses what does not go
/// together.
inline void finish_options(Options& o) {
  const auto reading = [](const std::string& word) {
    return word == "softmax" ? Reading::softmax : Reading::sigmoid;
  };
  TrainerOptions& t = o.train;
  t.variant = o.variant == "only-b"          ? Variant::only_b
              : o.variant == "only-f"        ? Variant::only_f
              : o.variant == "warm-up"       ? Variant::warm_up
              : o.variant == "vanilla-vlp"   ? Variant::vanilla_vlp
              : o.variant == "self-training" ? Variant::self_training
                                             : Variant::both;
  t.pseudo.rule = o.pseudo_labels == "calibrated" ? PseudoLabelRule::calibrated
                  : o.pseudo_labels == "ranked"   ? PseudoLabelRule::ranked
                  : o.pseudo_labels == "min-max"  ? PseudoLabelRule::min_max
                  : o.pseudo_labels == "oracle"   ? PseudoLabelRule::oracle
                                                  : PseudoLabelRule::thresholds;
  t.cbp_reading = reading(o.cbp_reading);
  t.vlp_reading = reading(o.vlp_reading);
  t.kd_foreground = !o.no_foreground;
  t.kd_background = !o.no_background;
  o.cbp.positions = o.positions == "sinusoid"  ? Positions::sinusoid
                    : o.positions == "learned" ? Positions::learned
                                               : Positions::none;
  o.cbp.table = o.vlp.table = t.crop;
  set_precision(o, o.precision);
  o.vlp.dropout = o.cbp.dropout;
  o.vlp.identity_start = !o.random_temporal;
  if (t.variant == Variant::vanilla_vlp) o.fusion = "vlp";  // its CBP has learned nothing
  o.inference.fusion = fusion_from_name(o.fusion);
  o.inference.own = o.method.inference == "own";
  t.own_warm_up = o.method.warm_up == "own";
  t.background_labels = !o.method.no_background_labels;
  o.inference.cbp_reading = t.cbp_reading;
  o.inference.vlp_reading = t.vlp_reading;
  o.inference.topk_divisor = t.topk_divisor;
  t.schedule.kind =
      o.schedule == "cosine" ? optim::Schedule::Kind::cosine : optim::Schedule::Kind::constant;
  const std::vector<Phase> phases = training_phases(t);
  t.schedule.total = phases.empty() ? 0 : phases.back().end;
  check_options(o);
  check_method(o);
}

}  // namespace dcl
