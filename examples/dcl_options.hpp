#pragma once
/// The options of train_dcl: one table of names, types, defaults, ranges and help.

#include <string>
#include <vector>

#include "common_cli.hpp"
#include "device_cli.hpp"
#include "option_table.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "tandem/wtal/train/trainer.hpp"

namespace dcl {

using namespace tandem;
using namespace tandem::wtal;

/// Of a method in CBP's place. 0: as the method has it.
struct MethodOptions {
  std::int64_t width = 0, batch = 0, rows = 0;
  double learning_rate = 0, weight_decay = -1;  // negative: the method's
  std::string warm_up = "own", inference = "dcl";
  bool no_background_labels = false, basnet_base_frames = false, co2_suppressed_frames = false,
       co2_activitynet = false, um_relative_magnitudes = false;
};

struct Options {
  // data
  std::string data, annotations, i3d, clip, clip_weights, vocabulary, tokens, clip_activation,
      train_subset, test_subset;
  bool random_text_encoder = false, clip_bfloat16 = false;
  // run
  std::string out = "out", protocol, device = "cpu";
  bool resume = false, fresh = false;
  std::int64_t checkpoint_every = 100, evaluate_every = 0, best_of_test = 0, record_videos = 60,
               threads = 0;
  // model
  std::string cbp_method = "transformer";
  MethodOptions method;
  CbpOptions cbp;
  VlpOptions vlp;
  PromptLearner<float>::Options prompts;
  std::string positions = "none", precision = "float";
  // training
  TrainerOptions train;
  std::string variant = "both", cbp_reading = "sigmoid", vlp_reading = "sigmoid",
              schedule = "constant", pseudo_labels = "ranked";
  bool no_foreground = false, no_background = false, random_temporal = false, concat_clip = false;
  // inference
  InferenceOptions inference;
  double seconds_per_row = 0;  // 0: as the features say
  std::string fusion = "cbp";
};

/// How often a training program measures itself, to tell the best step beside the last.
inline void add_best_of_test(cli::OptionTable& t, std::int64_t& steps) {
  t.add("best-of-test", steps,
        "Steps between measurements on the test videos: the best of them is told at the end beside "
        "the last step's number, CHOSEN BY THE TEST VIDEOS as many papers report; what is kept is "
        "the last step all the same; 0: none")
      .from(0, 1e9);
}

/// Every option of a run of train_dcl. The variables are those of `o`, which must outlive the
/// table.
inline cli::OptionTable option_table(Options& o) {
  using cli::Part;
  cli::OptionTable t;
  constexpr double most_steps = 1e9, most_rounds = 1e5,
                   largest = 1e30;  // largest: a float holds it
  t.part(Part::data);
  t.add("data", o.data,
        "Folder with everything: annotations, features, clip.safetensors and its vocabulary")
      .path();
  t.add("annotations", o.annotations,
        "Annotations elsewhere: a W-TALC folder, or a JSON file (gt.json)")
      .path();
  t.add("i3d", o.i3d, "I3D features elsewhere: an object array .npy, or a folder of <id>.npy")
      .path();
  t.add("clip", o.clip, "CLIP features elsewhere: a folder of <id>.npy").path();
  t.add("clip-weights", o.clip_weights,
        "CLIP weights for the class texts: a file of weights/convert.py, or the safetensors file "
        "or folder "
        "of an open_clip or Hugging Face model")
      .path();
  t.add("clip-activation", o.clip_activation,
        "What the CLIP model was trained with, where its files do not say")
      .words({"", "quick_gelu", "gelu"});
  t.add("clip-bfloat16", o.clip_bfloat16, "Products of the text encoder in bfloat16");
  t.add("vocabulary", o.vocabulary,
        "CLIP's vocabulary for the class names: bpe_simple_vocab_16e6.txt.gz or merges.txt")
      .path();
  t.add("tokens", o.tokens, "Token ids of the class names instead, JSON").path();
  t.add("random-text-encoder", o.random_text_encoder,
        "Use untrained text weights and made-up tokens: shows that data and program fit, not how "
        "well the method works");
  t.add("train-subset", o.train_subset, "Name of the training subset (default: found out)");
  t.add("test-subset", o.test_subset, "Name of the test subset (default: found out)");

  t.part(Part::running);
  t.add("out", o.out, "Folder for checkpoint, metrics, detections").not_recorded();
  t.add("resume", o.resume, "Continue the run in --out, with its options").not_recorded();
  t.add("fresh", o.fresh, "Start anew although --out holds a run").not_recorded();
  t.add("checkpoint-every", o.checkpoint_every, "Steps between checkpoints").from(1, most_steps);
  t.add("evaluate-every", o.evaluate_every,
        "Rounds between evaluations on the test subset; 0: at the end only")
      .from(0, most_rounds);
  add_best_of_test(t, o.best_of_test);
  t.add("record-videos", o.record_videos,
        "Training videos whose scores and pseudo-labels are kept after each round, for report; 0: "
        "none")
      .from(0, 1e6);
  t.add("protocol", o.protocol, "How detections are judged (default: by data set)")
      .words({"", "activitynet", "thumos-index", "thumos-seconds"});
  t.add("threads", o.threads, "Threads; 0: all that the machine offers").from(0, cpu::max_threads);
  t.add("device", o.device, cli::device_help);

  t.part(Part::model);
  t.add(
       "cbp", o.cbp_method,
       "The method in CBP's place: transformer (the paper's), basnet (background suppression), co2 "
       "(cross-modal consensus), um (uncertainty by magnitudes), wtalc (co-activity)")
      .words({"transformer", "basnet", "co2", "um", "wtalc"});
  t.add("method-width", o.method.width,
        "basnet, um: width of the convolutions, 2048, a quarter of it in basnet's filter; co2: "
        "width "
        "inside its attentions, 512; 0: these")
      .from(0, 65536);
  t.add("basnet-base-frames", o.method.basnet_base_frames,
        "basnet: frame probabilities of the pass that is not suppressed");
  t.add("co2-suppressed-frames", o.method.co2_suppressed_frames,
        "co2: frame probabilities of the scores that attention suppresses");
  t.add("co2-activitynet", o.method.co2_activitynet,
        "co2: the numbers of its code for ActivityNet, and scores pooled over time");
  t.add("um-relative-magnitudes", o.method.um_relative_magnitudes,
        "um: frame probabilities by magnitudes relative to the video's, as its own inference has "
        "them");
  t.add("width", o.cbp.width, "transformer: width of the frame features, a multiple of --heads")
      .from(1, 65536);
  t.add("layers", o.cbp.layers, "transformer: blocks").from(0, 1000);
  t.add("heads", o.cbp.heads, "transformer: attention heads").from(1, 65536);
  t.add("cbp-scale", o.cbp.scale, "transformer: factor of its rows").from(1e-6, 1e6);
  t.add("vlp-scale", o.vlp.scale, "VLP: factor of its rows").from(1e-6, 1e6);
  t.add("mlp-ratio", o.cbp.mlp_ratio, "transformer: hidden width of the MLP over --width")
      .from(1, 64);
  t.add("dropout", o.cbp.dropout, "transformer and VLP: dropout probability").from(0, 0.99);
  t.add("precision", o.precision,
        "Products of linear layers and attention: fp32 (or float, its older name), tf32 (linear "
        "layers on a GPU), or bf16; weights, sums and losses stay float")
      .words({"fp32", "tf32", "bf16", "float"});
  t.add("positions", o.positions, "transformer: none, sinusoid or learned")
      .words({"none", "sinusoid", "learned"});
  t.add("temporal-layers", o.vlp.layers, "VLP: temporal transformer blocks").from(0, 1000);
  t.add("temporal-heads", o.vlp.heads, "VLP: attention heads").from(1, 65536);
  t.add("prompt-vectors", o.prompts.vectors, "VLP: learned vectors before and after a name")
      .from(0, 1000);
  t.add("prompts-per-class", o.prompts.per_class, "VLP: each class has its own vectors");
  t.add("vlp-temperature", o.vlp.temperature, "VLP: tau of the cosine scores").from(1e-6, 1e6);
  t.add("learned-scale", o.vlp.learned_scale, "VLP: learn a scale and a bias of the scores");
  t.add("random-temporal-start", o.random_temporal,
        "VLP: temporal transformer starts random instead of as the identity");

  t.part(Part::training);
  t.add("method-warm-up", o.method.warm_up,
        "Of all but the transformer: own (the method's training: its loss, sampler, rate and "
        "decay) or dcl "
        "(as the transformer's). --warm-up-steps says how long: 1500 published of basnet, 5000 of "
        "co2, 10000 of um, 100000 of wtalc")
      .words({"own", "dcl"});
  t.add("method-batch", o.method.batch, "Own warm-up: videos per step; 0: the method's, 16 or 10")
      .from(0, 1e6);
  t.add(
       "method-rows", o.method.rows,
       "Own warm-up, and own inference of basnet and um: rows of a video; 0: the method's, 750, of "
       "co2 500")
      .from(0, 1e6);
  t.add("method-learning-rate", o.method.learning_rate,
        "Own warm-up: Adam's learning rate; 0: the method's, 0.0001, of co2 0.00005")
      .from(0, 1e6);
  t.add("method-weight-decay", o.method.weight_decay,
        "Own warm-up: L2 weight decay; -1: the method's, 0.0005, of co2 0.001")
      .from(-1, 1e6);
  t.add("no-background-labels", o.method.no_background_labels,
        "basnet, co2, um: L_kd does not teach what is left for background");
  t.add("teach-attention", o.train.teach_attention,
        "basnet, co2, um: F steps teach its attention the confident frames");
  t.add("keep-regularisers", o.train.keep_regularisers,
        "basnet, co2: F steps keep the terms of its loss that need no class label");
  t.add("variant", o.variant,
        "both, only-b, only-f, warm-up, vanilla-vlp, or self-training: in F phases CBP teaches "
        "itself, without VLP")
      .words({"both", "only-b", "only-f", "warm-up", "vanilla-vlp", "self-training"});
  t.add("batch", o.train.batch, "Videos per step").from(1, 1e6);
  t.add("crop", o.train.crop, "Snippets per training crop: 1000 THUMOS14, 400 ActivityNet")
      .from(1, 1e6);
  t.add("warm-up-steps", o.train.warm_up_steps, "Steps of the warm-up")
      .from(0, most_steps)
      .may_grow();
  t.add("rounds", o.train.rounds, "Rounds of a B and an F phase").from(0, most_rounds).may_grow();
  t.add("b-steps", o.train.b_steps, "Steps of a B phase; too few leave VLP all background")
      .from(0, most_steps)
      .may_grow();
  t.add("first-b-steps", o.train.first_b_steps, "Steps of the first B phase; 0: --b-steps")
      .from(0, most_steps);
  t.add("f-steps", o.train.f_steps, "Steps of an F phase; too many drift")
      .from(0, most_steps)
      .may_grow();
  t.add("learning-rate", o.train.learning_rate, "Adam's learning rate").from(0, 1e6);
  t.add("schedule", o.schedule, "Learning rate over all steps: constant or cosine")
      .words({"constant", "cosine"});
  t.add("schedule-warm-up", o.train.schedule.warmup, "Steps of linear learning-rate warm-up")
      .from(0, most_steps);
  t.add("weight-decay", o.train.weight_decay, "L2 weight decay").from(0, 1e6);
  t.add("max-grad-norm", o.train.max_grad_norm, "Clip gradients to this norm; 0: do not")
      .from(0, largest);
  t.add("lambda", o.train.lambda, "Weight of L_fb; 0 leaves it out").from(0, 1e6);
  t.add("no-kd-foreground", o.no_foreground, "L_kd teaches background only");
  t.add("no-kd-background", o.no_background,
        "L_kd teaches foreground only; with both there is no L_kd");
  t.add("kd-every-entry", o.train.every_entry,
        "L_kd on every decided entry, not on confident frames only");
  t.add("vlp-learning-rate", o.train.vlp_learning_rate, "VLP's; 0: --learning-rate").from(0, 1e6);
  t.add(
       "pseudo-labels", o.pseudo_labels,
       "How a teacher's scores become labels: ranked (fixed shares of each video, which the rounds "
       "cannot shift: what was measured to hold, docs/reproduction.md), thresholds (the paper's), "
       "calibrated (the thresholds with each video's share of foreground as after the warm-up), "
       "min-max (thresholds on scores normalised per video), oracle (a ceiling: the annotated "
       "segments of the training videos teach)")
      .words({"thresholds", "calibrated", "ranked", "min-max", "oracle"});
  t.add("high", o.train.pseudo.high, "Pseudo-labels, thresholds and calibrated: foreground above")
      .from(0, 1);
  t.add("low", o.train.pseudo.low, "Pseudo-labels, thresholds and calibrated: background below")
      .from(0, 1);
  t.add("ranked-foreground", o.train.pseudo.ranked_foreground,
        "Pseudo-labels, ranked: share of a video's frames that is foreground")
      .from(0, 1);
  t.add("ranked-background", o.train.pseudo.ranked_background,
        "Pseudo-labels, ranked: share that is background; less where actions fill half a video")
      .from(0, 1);
  t.add("min-max-high", o.train.pseudo.min_max_high, "Pseudo-labels, min-max: foreground above")
      .from(0, 1);
  t.add("min-max-low", o.train.pseudo.min_max_low, "Pseudo-labels, min-max: background below")
      .from(0, 1);
  t.add("contrast-temperature", o.train.contrast.temperature, "tau of L_fb").from(1e-6, 1e6);
  t.add("contrast-same-video", o.train.contrast.same_video,
        "L_fb: positives from the anchor's own video only");
  t.add("topk-divisor", o.train.topk_divisor, "Video scores: mean of the top T/divisor frames")
      .from(1, 1e9);
  t.add("cbp-reading", o.cbp_reading, "Frame probabilities of CBP: sigmoid or softmax")
      .words({"sigmoid", "softmax"});
  t.add("vlp-reading", o.vlp_reading, "Frame probabilities of VLP: sigmoid or softmax")
      .words({"sigmoid", "softmax"});
  t.add("concat-clip", o.concat_clip,
        "CBP reads I3D and CLIP rows side by side (the paper's naive combination); co2: CLIP's "
        "beside "
        "RGB's");
  t.add("seed", o.train.seed, "Everything random follows from it");

  t.part(Part::inference);
  t.add("method-inference", o.method.inference,
        "Detections by dcl (all options below), or by the rule of the method in CBP's place: own; "
        "with --variant warm-up that is the method itself")
      .words({"dcl", "own"});
  t.add("fusion", o.fusion,
        "Scores from cbp, vlp, their mean, weighted, geometric-mean, or normalized-mean (of scores "
        "that are min-max normalised per video and class first)")
      .words(fusion_names());
  t.add("cbp-weight", o.inference.cbp_weight, "Weight of CBP with --fusion weighted").from(0, 1);
  t.add("theta-loc", o.inference.localization.thresholds, "Frame thresholds of proposals")
      .from(0, 1);
  t.add("theta-cls", o.inference.localization.class_threshold, "Video score of a class to localize")
      .from(0, 1);
  t.add("no-min-max", o.inference.localization.normalize,
        "Threshold the scores as they are, without min-max normalisation")
      .opposite();
  t.add("seconds-per-row", o.seconds_per_row,
        "Seconds of a row, where extract_features did not write them beside it; 0: 16 frames at 25 "
        "per second, 0.64")
      .from(0, 3600);
  t.add("nms-sigma", o.inference.localization.nms.sigma, "Gaussian soft-NMS").from(1e-6, 1e6);
  return t;
}

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
  TANDEM_CHECK(o.train.pseudo.low <= o.train.pseudo.high, "train_dcl",
               "--low must not exceed --high: they are ", number(o.train.pseudo.low), " and ",
               number(o.train.pseudo.high));
  TANDEM_CHECK(o.train.pseudo.min_max_low <= o.train.pseudo.min_max_high, "train_dcl",
               "--min-max-low must not exceed --min-max-high: they are ",
               number(o.train.pseudo.min_max_low), " and ", number(o.train.pseudo.min_max_high));
  TANDEM_CHECK(
      o.train.pseudo.ranked_foreground + o.train.pseudo.ranked_background <= 1, "train_dcl",
      "--ranked-foreground and --ranked-background must not be above 1 in all: they are ",
      number(o.train.pseudo.ranked_foreground), " and ", number(o.train.pseudo.ranked_background));
  TANDEM_CHECK(o.train.pseudo.ranked_foreground + o.train.pseudo.ranked_background > 0, "train_dcl",
               "--ranked-foreground and --ranked-background are both 0: nothing would be taught");
  TANDEM_CHECK(o.cbp.width % o.cbp.heads == 0, "train_dcl",
               "--width must be a multiple of --heads: they are ", o.cbp.width, " and ",
               o.cbp.heads);
  TANDEM_CHECK(!(o.resume && o.fresh), "train_dcl", "--resume and --fresh exclude each other");
  TANDEM_CHECK(!o.random_text_encoder ||
                   (o.clip_weights.empty() && o.vocabulary.empty() && o.tokens.empty()),
               "train_dcl",
               "--random-text-encoder excludes --clip-weights, --vocabulary and --tokens");
  TANDEM_CHECK(o.vocabulary.empty() || o.tokens.empty(), "train_dcl",
               "--vocabulary and --tokens exclude each other");
  const optim::Schedule& schedule = o.train.schedule;
  TANDEM_CHECK(schedule.kind != optim::Schedule::Kind::cosine || schedule.total == 0 ||
                   schedule.total > schedule.warmup,
               "train_dcl", "--schedule cosine needs more steps in all (", schedule.total,
               ") than --schedule-warm-up (", schedule.warmup, ")");
}

/// What only some methods of --cbp have.
inline void check_method(const Options& o) {
  const MethodOptions& m = o.method;
  const bool transformer = o.cbp_method == "transformer", basnet = o.cbp_method == "basnet",
             co2 = o.cbp_method == "co2", um = o.cbp_method == "um";
  const auto only = [&](const char* option, bool given, bool has) {
    TANDEM_CHECK(!given || has, "train_dcl", option, " is none of --cbp ", o.cbp_method);
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
  TANDEM_CHECK(m.weight_decay >= 0 || m.weight_decay == -1, "train_dcl",
               "--method-weight-decay must not be negative, or be -1: it is ",
               cli::number_text(m.weight_decay));
  TANDEM_CHECK(m.inference != "own" || o.fusion == "cbp", "train_dcl",
               "--method-inference own is of CBP alone, not of --fusion ", o.fusion,
               "; --fusion cbp goes with it");
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
  if (o.precision == "fp32") o.precision = "float";  // as checkpoints have it
  o.cbp.precision = o.vlp.precision = o.precision == "bf16"   ? Precision::bfloat16
                                      : o.precision == "tf32" ? Precision::tf32
                                                              : Precision::full;
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
