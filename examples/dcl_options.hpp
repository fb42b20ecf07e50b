#pragma once
/// The options of train_dcl: one place for names, defaults, help and config keys.

#include <algorithm>
#include <string>
#include <vector>

#include "common_cli.hpp"
#include "tandem/io/json.hpp"
#include "tandem/wtal/inference.hpp"
#include "tandem/wtal/trainer.hpp"

namespace dcl {

using namespace tandem;
using namespace tandem::wtal;

struct Options {
  // data
  std::string data, annotations, i3d, clip, clip_weights, vocabulary, tokens, clip_activation, train_subset, test_subset;
  bool random_text_encoder = false, clip_bfloat16 = false;
  // run
  std::string out = "out", protocol;
  bool resume = false, fresh = false;
  std::int64_t checkpoint_every = 100, evaluate_every = 0, threads = 0;
  // model
  CbpOptions cbp;
  VlpOptions vlp;
  PromptLearner<float>::Options prompts;
  std::string positions = "none", precision = "float";
  // training
  TrainerOptions train;
  std::string variant = "both", cbp_reading = "sigmoid", vlp_reading = "sigmoid", schedule = "constant";
  bool no_background = false, random_temporal = false;
  // inference
  InferenceOptions inference;
  std::string fusion = "cbp";
};

/// Adds every option to `app`.
inline void add_options(CLI::App& app, Options& o) {
  const auto text = [&](const char* name, std::string& value, const char* help, const char* group) {
    return app.add_option(name, value, help)->group(group)->capture_default_str();
  };
  const auto choice = [&](const char* name, std::string& value, const char* help,
                          const std::vector<std::string>& words, const char* group) {
    cli::add_choice(app, name, value, words, help)->group(group)->capture_default_str();
  };
  const auto number = [&](const char* name, auto& value, const char* help, const char* group) {
    return app.add_option(name, value, help)->group(group)->capture_default_str();
  };
  const char* group = "Data";
  text("--data", o.data,
       "Folder with everything: annotations, features, clip.safetensors and its vocabulary",
       group);
  text("--annotations", o.annotations,
       "Annotations elsewhere: a W-TALC folder, or a JSON file (gt.json)", group);
  text("--i3d", o.i3d, "I3D features elsewhere: an object array .npy, or a folder of <id>.npy", group);
  text("--clip", o.clip, "CLIP features elsewhere: a folder of <id>.npy", group);
  text("--clip-weights", o.clip_weights,
       "CLIP weights for the class texts: a file of weights/convert.py, or the safetensors file or folder "
       "of an open_clip or Hugging Face model",
       group);
  choice("--clip-activation", o.clip_activation,
         "What the CLIP model was trained with, where its files do not say", {"", "quick_gelu", "gelu"}, group);
  app.add_flag("--clip-bfloat16", o.clip_bfloat16, "Products of the text encoder in bfloat16")->group(group);
  text("--vocabulary", o.vocabulary,
       "CLIP's vocabulary for the class names: bpe_simple_vocab_16e6.txt.gz or merges.txt", group);
  text("--tokens", o.tokens, "Token ids of the class names instead, JSON", group);
  app.add_flag("--random-text-encoder", o.random_text_encoder,
               "Use untrained text weights and made-up tokens: shows that data and program fit, not "
               "how well the method works")
      ->group(group);
  text("--train-subset", o.train_subset, "Name of the training subset (default: found out)", group);
  text("--test-subset", o.test_subset, "Name of the test subset (default: found out)", group);

  group = "Run";
  text("--out", o.out, "Folder for checkpoint, metrics, detections", group);
  app.add_flag("--resume", o.resume, "Continue from the checkpoint in --out")->group(group);
  app.add_flag("--fresh", o.fresh, "Start anew although --out holds a run")->group(group);
  number("--checkpoint-every", o.checkpoint_every, "Steps between checkpoints", group)
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  number("--evaluate-every", o.evaluate_every,
         "Rounds between evaluations on the test subset; 0: at the end only", group)
      ->check(CLI::NonNegativeNumber);
  text("--protocol", o.protocol,
       "activitynet, thumos-index or thumos-seconds (default: by data set)", group);
  number("--threads", o.threads, "Threads; 0: all that the machine offers", group)
      ->check(CLI::NonNegativeNumber);

  group = "Model";
  number("--width", o.cbp.width, "CBP: width of the frame features", group)->check(CLI::PositiveNumber);
  number("--layers", o.cbp.layers, "CBP: transformer blocks", group)->check(CLI::NonNegativeNumber);
  number("--heads", o.cbp.heads, "CBP: attention heads", group)->check(CLI::PositiveNumber);
  number("--mlp-ratio", o.cbp.mlp_ratio, "CBP: hidden width of the MLP over --width", group)
      ->check(CLI::PositiveNumber);
  number("--dropout", o.cbp.dropout, "Both branches: dropout probability", group)
      ->check(CLI::Range(0.0, 0.99));
  choice("--precision", o.precision,
         "Products of linear layers and attention: float, or bf16 (weights, sums and losses stay float)",
         {"float", "bf16"}, group);
  choice("--positions", o.positions, "CBP: none, sinusoid or learned", {"none", "sinusoid", "learned"}, group);
  number("--temporal-layers", o.vlp.layers, "VLP: temporal transformer blocks", group)
      ->check(CLI::NonNegativeNumber);
  number("--temporal-heads", o.vlp.heads, "VLP: attention heads", group)->check(CLI::PositiveNumber);
  number("--prompt-vectors", o.prompts.vectors, "VLP: learned vectors before and after a name", group)
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--prompts-per-class", o.prompts.per_class, "VLP: each class has its own vectors")
      ->group(group);
  number("--vlp-temperature", o.vlp.temperature, "VLP: tau of the cosine scores", group)
      ->check(CLI::PositiveNumber);
  app.add_flag("--learned-scale", o.vlp.learned_scale, "VLP: learn a scale and a bias of the scores")
      ->group(group);
  app.add_flag("--random-temporal-start", o.random_temporal,
               "VLP: temporal transformer starts random instead of as the identity")
      ->group(group);

  group = "Training";
  choice("--variant", o.variant, "both, only-b, only-f, warm-up or vanilla-vlp", {"both", "only-b", "only-f", "warm-up", "vanilla-vlp"}, group);
  number("--batch", o.train.batch, "Videos per step", group)->check(CLI::PositiveNumber);
  number("--crop", o.train.crop, "Snippets per training crop: 1000 THUMOS14, 400 ActivityNet", group)
      ->check(CLI::PositiveNumber);
  number("--warm-up-steps", o.train.warm_up_steps, "Steps of the warm-up", group)
      ->check(CLI::NonNegativeNumber);
  number("--rounds", o.train.rounds, "Rounds of a B and an F phase", group)->check(CLI::NonNegativeNumber);
  number("--b-steps", o.train.b_steps, "Steps of a B phase; too few leave VLP all background", group)->check(CLI::NonNegativeNumber);
  number("--f-steps", o.train.f_steps, "Steps of an F phase; too many drift", group)->check(CLI::NonNegativeNumber);
  number("--learning-rate", o.train.learning_rate, "Adam's learning rate", group)
      ->check(CLI::NonNegativeNumber);
  choice("--schedule", o.schedule, "Learning rate over all steps: constant or cosine", {"constant", "cosine"}, group);
  number("--schedule-warm-up", o.train.schedule.warmup, "Steps of linear learning-rate warm-up", group)
      ->check(CLI::NonNegativeNumber);
  number("--weight-decay", o.train.weight_decay, "L2 weight decay", group)->check(CLI::NonNegativeNumber);
  number("--max-grad-norm", o.train.max_grad_norm, "Clip gradients to this norm; 0: do not", group)
      ->check(CLI::NonNegativeNumber);
  number("--lambda", o.train.lambda, "Weight of L_fb; 0 leaves it out", group)
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--no-kd-background", o.no_background, "L_kd teaches foreground only")->group(group);
  app.add_flag("--kd-every-entry", o.train.every_entry,
               "L_kd on every decided entry, not on confident frames only")
      ->group(group);
  number("--high", o.train.pseudo.high, "Pseudo-labels: foreground above", group)
      ->check(CLI::Range(0.0, 1.0));
  number("--low", o.train.pseudo.low, "Pseudo-labels: background below", group)
      ->check(CLI::Range(0.0, 1.0));
  number("--contrast-temperature", o.train.contrast.temperature, "tau of L_fb", group)
      ->check(CLI::PositiveNumber);
  app.add_flag("--contrast-same-video", o.train.contrast.same_video,
               "L_fb: positives from the anchor's own video only")
      ->group(group);
  number("--topk-divisor", o.train.topk_divisor, "Video scores: mean of the top T/divisor frames", group)
      ->check(CLI::PositiveNumber);
  choice("--cbp-reading", o.cbp_reading, "Frame probabilities of CBP: sigmoid or softmax", {"sigmoid", "softmax"}, group);
  choice("--vlp-reading", o.vlp_reading, "Frame probabilities of VLP: sigmoid or softmax", {"sigmoid", "softmax"}, group);
  app.add_flag("--concat-clip", o.train.concat_clip,
               "CBP reads I3D and CLIP rows side by side (the paper's naive combination)")
      ->group(group);
  number("--seed", o.train.seed, "Everything random follows from it", group);

  group = "Inference";
  choice("--fusion", o.fusion, "Scores from cbp, vlp, their mean, or weighted", {"cbp", "vlp", "mean", "weighted"}, group);
  number("--cbp-weight", o.inference.cbp_weight, "Weight of CBP with --fusion weighted", group)
      ->check(CLI::Range(0.0, 1.0));
  number("--theta-loc", o.inference.localization.thresholds, "Frame thresholds of proposals", group);
  number("--theta-cls", o.inference.localization.class_threshold, "Video score of a class to localize",
         group);
  app.add_flag("!--no-min-max", o.inference.localization.normalize,
               "Threshold the scores as they are, without min-max normalisation")
      ->group(group);
  number("--nms-sigma", o.inference.localization.nms.sigma, "Gaussian soft-NMS", group)
      ->check(CLI::PositiveNumber);
}

/// Turns the words into the enums and shares what two parts need.
inline void finish_options(Options& o) {
  const auto reading = [](const std::string& word) {
    return word == "softmax" ? Reading::softmax : Reading::sigmoid;
  };
  TrainerOptions& t = o.train;
  t.variant = o.variant == "only-b"        ? Variant::only_b
              : o.variant == "only-f"      ? Variant::only_f
              : o.variant == "warm-up"     ? Variant::warm_up
              : o.variant == "vanilla-vlp" ? Variant::vanilla_vlp
                                           : Variant::both;
  t.cbp_reading = reading(o.cbp_reading);
  t.vlp_reading = reading(o.vlp_reading);
  t.kd_background = !o.no_background;
  o.cbp.positions = o.positions == "sinusoid"  ? Positions::sinusoid
                    : o.positions == "learned" ? Positions::learned
                                               : Positions::none;
  o.cbp.table = o.vlp.table = t.crop;
  o.cbp.precision = o.vlp.precision = o.precision == "bf16" ? Precision::bfloat16 : Precision::full;
  o.vlp.dropout = o.cbp.dropout;
  o.vlp.identity_start = !o.random_temporal;
  o.inference.fusion = o.fusion == "vlp"        ? Fusion::vlp
                       : o.fusion == "mean"     ? Fusion::mean
                       : o.fusion == "weighted" ? Fusion::weighted
                                                : Fusion::cbp;
  if (t.variant == Variant::vanilla_vlp) o.inference.fusion = Fusion::vlp;
  o.inference.cbp_reading = t.cbp_reading;
  o.inference.vlp_reading = t.vlp_reading;
  o.inference.topk_divisor = t.topk_divisor;
  t.schedule.kind = o.schedule == "cosine" ? optim::Schedule::Kind::cosine : optim::Schedule::Kind::constant;
  const std::vector<Phase> phases = training_phases(t);
  t.schedule.total = phases.empty() ? 0 : phases.back().end;
}

/// The options that decide the result, with their values, as JSON: what a checkpoint carries so that a
/// resumed run is the same run. Where files are, how often to report and how many threads may change.
inline std::string options_json(const CLI::App& app) {
  const std::vector<std::string> free_to_change{"out",     "resume", "fresh",  "checkpoint-every",
                                                "threads", "config", "help",   "evaluate-every",
                                                "data",    "i3d",    "clip",   "annotations",
                                                "tokens",  "clip-weights", "vocabulary"};
  io::Json root = io::Json::object();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames()[0];
    if (std::find(free_to_change.begin(), free_to_change.end(), name) != free_to_change.end()) continue;
    std::string value;
    for (const std::string& part : option->results()) value += (value.empty() ? "" : " ") + part;
    root[name] = option->count() > 0 ? value : option->get_default_str();
  }
  return io::json_text(root, 2);
}

}  // namespace dcl
