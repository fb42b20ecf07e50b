#pragma once
/// The table of train_dcl's options: names, types, defaults, ranges, help, and where each says
/// something.

#include <string>
#include <vector>

#include "common_cli.hpp"
#include "dcl_option_values.hpp"
#include "device_cli.hpp"
#include "option_table.hpp"

namespace dcl {

using namespace tandem;
using namespace tandem::wtal;

/// How often a training program measures itself, to tell the best step beside the last.
inline cli::TableOption& add_best_of_test(cli::OptionTable& t, std::int64_t& steps) {
  return t
      .add("best-of-test", steps,
           "Steps between measurements on the test videos: the best of them is told at the end "
           "beside the last step's number, CHOSEN BY THE TEST VIDEOS as many papers report; what "
           "is kept is the last step all the same; 0: none")
      .from(0, 1e9);
}

/// Every option of a run of train_dcl. The variables are those of `o`, which must outlive the
/// table.
inline cli::OptionTable option_table(Options& o) {
  using cli::Part;
  cli::OptionTable t;
  constexpr double most_steps = 1e9, most_rounds = 1e5,
                   largest = 1e30;  // largest: a float holds it
  const Conditions only(o);
  t.part(Part::data);
  t.add("data", o.data,
        "Folder with everything: annotations, features, clip.safetensors and its vocabulary")
      .path();
  t.add("annotations", o.annotations,
        "Annotations elsewhere: a W-TALC folder, or a JSON file (gt.json)")
      .path();
  t.add("i3d", o.i3d, "I3D features elsewhere: an object array .npy, or a folder of <id>.npy")
      .path()
      .only(only.cbp());
  t.add("clip", o.clip, "CLIP features elsewhere: a folder of <id>.npy")
      .path()
      .only(only.clip_rows());
  t.add("clip-weights", o.clip_weights,
        "CLIP weights for the class texts: a file of weights/convert.py, or the safetensors file "
        "or folder "
        "of an open_clip or Hugging Face model")
      .path()
      .only(only.vlp());
  t.add("clip-activation", o.clip_activation,
        "What the CLIP model was trained with, where its files do not say")
      .words({"", "quick_gelu", "gelu"})
      .only(only.trained_text());
  t.add("clip-bfloat16", o.clip_bfloat16, "Products of the text encoder in bfloat16")
      .only(only.trained_text());
  t.add("vocabulary", o.vocabulary,
        "CLIP's vocabulary for the class names: bpe_simple_vocab_16e6.txt.gz or merges.txt")
      .path()
      .only(only.vlp());
  t.add("tokens", o.tokens, "Token ids of the class names instead, JSON").path().only(only.vlp());
  t.add("random-text-encoder", o.random_text_encoder,
        "Use untrained text weights and made-up tokens: shows that data and program fit, not how "
        "well the method works")
      .only(only.vlp());
  t.add("train-subset", o.train_subset, "Name of the training subset (default: found out)");
  t.add("test-subset", o.test_subset, "Name of the test subset (default: found out)");

  t.part(Part::running);
  t.add("out", o.out, "Folder for checkpoint, metrics, detections").not_recorded();
  t.add("resume", o.resume, "Continue the run in --out, with its options").not_recorded();
  t.add("fresh", o.fresh, "Start anew although --out holds a run").not_recorded();
  t.add("checkpoint-every", o.checkpoint_every, "Steps between checkpoints")
      .from(1, most_steps)
      .only(only.learning());
  t.add("evaluate-every", o.evaluate_every,
        "Rounds between evaluations on the test subset; 0: at the end only")
      .from(0, most_rounds)
      .only(only.rounds());
  add_best_of_test(t, o.best_of_test).only(only.learning());
  t.add("record-videos", o.record_videos,
        "Training videos whose scores and pseudo-labels are kept after each round, for report; 0: "
        "none")
      .from(0, 1e6)
      .only(only.learning());
  t.add("protocol", o.protocol, "How detections are judged (default: by data set)")
      .words({"", "activitynet", "thumos-index", "thumos-seconds"});
  t.add("threads", o.threads, "Threads; 0: all that the machine offers").from(0, cpu::max_threads);
  t.add("device", o.device, cli::device_help);

  t.part(Part::model);
  t.add(
       "cbp", o.cbp_method,
       "The method in CBP's place: transformer (the paper's), basnet (background suppression), co2 "
       "(cross-modal consensus), um (uncertainty by magnitudes), wtalc (co-activity)")
      .words({"transformer", "basnet", "co2", "um", "wtalc"})
      .only(only.cbp());
  t.add("method-width", o.method.width,
        "basnet, um: width of the convolutions, 2048, a quarter of it in basnet's filter; co2: "
        "width "
        "inside its attentions, 512; 0: these")
      .from(0, 65536)
      .only(only.cbp());
  t.add("basnet-base-frames", o.method.basnet_base_frames,
        "basnet: frame probabilities of the pass that is not suppressed")
      .only(only.frames());
  t.add("co2-suppressed-frames", o.method.co2_suppressed_frames,
        "co2: frame probabilities of the scores that attention suppresses")
      .only(only.frames());
  t.add("co2-activitynet", o.method.co2_activitynet,
        "co2: the numbers of its code for ActivityNet, and scores pooled over time")
      .only(only.cbp());
  t.add("um-relative-magnitudes", o.method.um_relative_magnitudes,
        "um: frame probabilities by magnitudes relative to the video's, as its own inference has "
        "them")
      .only(only.frames());
  t.add("width", o.cbp.width, "transformer: width of the frame features, a multiple of --heads")
      .from(1, 65536)
      .only(only.transformer());
  t.add("layers", o.cbp.layers, "transformer: blocks").from(0, 1000).only(only.transformer());
  t.add("heads", o.cbp.heads, "transformer: attention heads").from(1, 65536).only(only.blocks());
  t.add("cbp-scale", o.cbp.scale, "transformer: factor of its rows")
      .from(1e-6, 1e6)
      .only(only.transformer());
  t.add("vlp-scale", o.vlp.scale, "VLP: factor of its rows").from(1e-6, 1e6).only(only.vlp());
  t.add("mlp-ratio", o.cbp.mlp_ratio, "transformer: hidden width of the MLP over --width")
      .from(1, 64)
      .only(only.blocks());
  t.add("dropout", o.cbp.dropout, "transformer and VLP: dropout probability")
      .from(0, 0.99)
      .only(only.dropping());
  t.add("precision", o.precision,
        "Products of linear layers and attention: fp32 (or float, its older name), tf32 (linear "
        "layers on a GPU), or bf16; weights, sums and losses stay float")
      .words({"fp32", "tf32", "bf16", "float"});
  t.add("positions", o.positions, "transformer: none, sinusoid or learned")
      .words({"none", "sinusoid", "learned"})
      .only(only.transformer());
  t.add("temporal-layers", o.vlp.layers, "VLP: temporal transformer blocks")
      .from(0, 1000)
      .only(only.temporal_layers());
  t.add("temporal-heads", o.vlp.heads, "VLP: attention heads")
      .from(1, 65536)
      .only(only.temporal_heads());
  t.add("prompt-vectors", o.prompts.vectors, "VLP: learned vectors before and after a name")
      .from(0, 1000)
      .only(only.vlp());
  t.add("prompts-per-class", o.prompts.per_class, "VLP: each class has its own vectors")
      .only(only.prompted());
  t.add("vlp-temperature", o.vlp.temperature, "VLP: tau of the cosine scores")
      .from(1e-6, 1e6)
      .only(only.vlp());
  t.add("learned-scale", o.vlp.learned_scale, "VLP: learn a scale and a bias of the scores")
      .only(only.b_learns());
  t.add("random-temporal-start", o.random_temporal,
        "VLP: temporal transformer starts random instead of as the identity")
      .only(only.temporal());

  t.part(Part::training);
  t.add("method-warm-up", o.method.warm_up,
        "Of all but the transformer: own (the method's training: its loss, sampler, rate and "
        "decay) or dcl "
        "(as the transformer's). --warm-up-steps says how long: 1500 published of basnet, 5000 of "
        "co2, 10000 of um, 100000 of wtalc")
      .words({"own", "dcl"})
      .only(only.method_warm_up());
  t.add("method-batch", o.method.batch, "Own warm-up: videos per step; 0: the method's, 16 or 10")
      .from(0, 1e6)
      .only(only.own_warm_up());
  t.add(
       "method-rows", o.method.rows,
       "Own warm-up, and own inference of basnet and um: rows of a video; 0: the method's, 750, of "
       "co2 500")
      .from(0, 1e6)
      .only(only.own_rows());
  t.add("method-learning-rate", o.method.learning_rate,
        "Own warm-up: Adam's learning rate; 0: the method's, 0.0001, of co2 0.00005")
      .from(0, 1e6)
      .only(only.own_warm_up());
  t.add("method-weight-decay", o.method.weight_decay,
        "Own warm-up: L2 weight decay; -1: the method's, 0.0005, of co2 0.001")
      .from(-1, 1e6)
      .only(only.own_warm_up());
  t.add("no-background-labels", o.method.no_background_labels,
        "basnet, co2, um: L_kd does not teach what is left for background")
      .only(only.background());
  t.add("teach-attention", o.train.teach_attention,
        "basnet, co2, um: F steps teach its attention the confident frames")
      .only(only.f_learns());
  t.add("keep-regularisers", o.train.keep_regularisers,
        "basnet, co2: F steps keep the terms of its loss that need no class label")
      .only(only.f_learns());
  t.add("variant", o.variant,
        "both, only-b, only-f, warm-up, vanilla-vlp, or self-training: in F phases CBP teaches "
        "itself, without VLP")
      .words({"both", "only-b", "only-f", "warm-up", "vanilla-vlp", "self-training"})
      .only(only.several_variants());
  t.add("batch", o.train.batch, "Videos per step").from(1, 1e6).only(only.dcl_steps());
  t.add("crop", o.train.crop, "Snippets per training crop: 1000 THUMOS14, 400 ActivityNet")
      .from(1, 1e6)
      .only(only.crops());
  t.add("warm-up-steps", o.train.warm_up_steps, "Steps of the warm-up")
      .from(0, most_steps)
      .may_grow()
      .only(only.trains());
  t.add("rounds", o.train.rounds, "Rounds of a B and an F phase")
      .from(0, most_rounds)
      .may_grow()
      .only(only.alternation());
  t.add("b-steps", o.train.b_steps, "Steps of a B phase; too few leave VLP all background")
      .from(0, most_steps)
      .may_grow()
      .only(only.b_phases(true));
  t.add("first-b-steps", o.train.first_b_steps, "Steps of the first B phase; 0: --b-steps")
      .from(0, most_steps)
      .only(only.b_phases(false));
  t.add("f-steps", o.train.f_steps, "Steps of an F phase; too many drift")
      .from(0, most_steps)
      .may_grow()
      .only(only.f_phases());
  t.add("learning-rate", o.train.learning_rate, "Adam's learning rate")
      .from(0, 1e6)
      .only(only.dcl_rate());
  t.add("schedule", o.schedule, "Learning rate over all steps: constant or cosine")
      .words({"constant", "cosine"})
      .only(only.learning());
  t.add("schedule-warm-up", o.train.schedule.warmup, "Steps of linear learning-rate warm-up")
      .from(0, most_steps)
      .only(only.learning());
  t.add("weight-decay", o.train.weight_decay, "L2 weight decay")
      .from(0, 1e6)
      .only(only.dcl_steps());
  t.add("max-grad-norm", o.train.max_grad_norm, "Clip gradients to this norm; 0: do not")
      .from(0, largest)
      .only(only.learning());
  t.add("lambda", o.train.lambda, "Weight of L_fb; 0 leaves it out")
      .from(0, 1e6)
      .only(only.rounds());
  t.add("no-kd-foreground", o.no_foreground, "L_kd teaches background only").only(only.rounds());
  t.add("no-kd-background", o.no_background,
        "L_kd teaches foreground only; with both there is no L_kd")
      .only(only.rounds());
  t.add("kd-every-entry", o.train.every_entry,
        "L_kd on every decided entry, not on confident frames only")
      .only(only.distils());
  t.add("vlp-learning-rate", o.train.vlp_learning_rate, "VLP's; 0: --learning-rate")
      .from(0, 1e6)
      .only(only.b_learns());
  t.add(
       "pseudo-labels", o.pseudo_labels,
       "How a teacher's scores become labels: ranked (fixed shares of each video, which the rounds "
       "cannot shift: what was measured to hold, docs/reproduction.md), thresholds (the paper's), "
       "calibrated (the thresholds with each video's share of foreground as after the warm-up), "
       "min-max (thresholds on scores normalised per video), oracle (a ceiling: the annotated "
       "segments of the training videos teach)")
      .words({"thresholds", "calibrated", "ranked", "min-max", "oracle"})
      .only(only.rounds());
  t.add("high", o.train.pseudo.high, "Pseudo-labels, thresholds and calibrated: foreground above")
      .from(0, 1)
      .only(only.rule("thresholds", "calibrated"));
  t.add("low", o.train.pseudo.low, "Pseudo-labels, thresholds and calibrated: background below")
      .from(0, 1)
      .only(only.rule("thresholds", "calibrated"));
  t.add("ranked-foreground", o.train.pseudo.ranked_foreground,
        "Pseudo-labels, ranked: share of a video's frames that is foreground")
      .from(0, 1)
      .only(only.rule("ranked"));
  t.add("ranked-background", o.train.pseudo.ranked_background,
        "Pseudo-labels, ranked: share that is background; less where actions fill half a video")
      .from(0, 1)
      .only(only.rule("ranked"));
  t.add("min-max-high", o.train.pseudo.min_max_high, "Pseudo-labels, min-max: foreground above")
      .from(0, 1)
      .only(only.rule("min-max"));
  t.add("min-max-low", o.train.pseudo.min_max_low, "Pseudo-labels, min-max: background below")
      .from(0, 1)
      .only(only.rule("min-max"));
  t.add("contrast-temperature", o.train.contrast.temperature, "tau of L_fb")
      .from(1e-6, 1e6)
      .only(only.contrast());
  t.add("contrast-same-video", o.train.contrast.same_video,
        "L_fb: positives from the anchor's own video only")
      .only(only.contrast());
  t.add("topk-divisor", o.train.topk_divisor, "Video scores: mean of the top T/divisor frames")
      .from(1, 1e9)
      .only(only.top_k());
  t.add("cbp-reading", o.cbp_reading, "Frame probabilities of CBP: sigmoid or softmax")
      .words({"sigmoid", "softmax"})
      .only(only.transformer());
  t.add("vlp-reading", o.vlp_reading, "Frame probabilities of VLP: sigmoid or softmax")
      .words({"sigmoid", "softmax"})
      .only(only.vlp());
  t.add("concat-clip", o.concat_clip,
        "CBP reads I3D and CLIP rows side by side (the paper's naive combination); co2: CLIP's "
        "beside "
        "RGB's")
      .only(only.cbp());
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
  t.add("cbp-weight", o.inference.cbp_weight, "Weight of CBP with --fusion weighted")
      .from(0, 1)
      .only(only.weighted());
  t.add("theta-loc", o.inference.localization.thresholds, "Frame thresholds of proposals")
      .from(0, 1)
      .only(only.dcl_inference());
  t.add("theta-cls", o.inference.localization.class_threshold, "Video score of a class to localize")
      .from(0, 1)
      .only(only.dcl_inference());
  t.add("no-min-max", o.inference.localization.normalize,
        "Threshold the scores as they are, without min-max normalisation")
      .opposite()
      .only(only.dcl_inference());
  t.add("seconds-per-row", o.seconds_per_row,
        "Seconds of a row, where extract_features did not write them beside it; 0: 16 frames at 25 "
        "per second, 0.64")
      .from(0, 3600);
  t.add("nms-sigma", o.inference.localization.nms.sigma, "Gaussian soft-NMS")
      .from(1e-6, 1e6)
      .only(only.dcl_inference());
  return t;
}

}  // namespace dcl
