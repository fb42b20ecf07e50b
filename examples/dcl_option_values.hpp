#pragma once
/// The options of train_dcl as values, what a run with them reads, and when an option says
/// something.

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "table_option.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "tandem/wtal/train/trainer.hpp"

namespace dcl {

using namespace tandem;
using namespace tandem::wtal;

/// What its authors call a method of --cbp.
inline const char* method_title(std::string_view cbp) {
  return cbp == "basnet"  ? "BaS-Net"
         : cbp == "co2"   ? "CO2-Net"
         : cbp == "um"    ? "UM"
         : cbp == "wtalc" ? "W-TALC"
                          : "DCL's transformer";
}

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

/// What a run reads, by its phases and its scores. What it does not read need not exist.
struct Reads {
  bool cbp = false, vlp = false;   ///< the branches that learn, teach or speak
  bool i3d = false, clip = false;  ///< the rows that these see
};

inline Reads reads(const Options& o) {
  Reads out;
  for (const Phase& phase : training_phases(o.train)) {
    out.cbp = true;
    out.vlp = out.vlp || phase.kind == Phase::Kind::b || phase.kind == Phase::Kind::f;
  }
  out.cbp = out.cbp || o.inference.fusion != Fusion::vlp;
  out.vlp = out.vlp || o.inference.fusion != Fusion::cbp;
  out.i3d = out.cbp;
  out.clip = out.vlp || (out.cbp && o.concat_clip);
  return out;
}

/// Which kinds of steps a run has.
struct Kinds {
  bool any = false, warm_up = false, b = false, f = false;  ///< f: of self-training too

  explicit Kinds(const Options& o) {
    for (const Phase& phase : training_phases(o.train)) {
      any = true;
      warm_up = warm_up || phase.kind == Phase::Kind::warm_up;
      b = b || phase.kind == Phase::Kind::b;
      f = f || phase.kind == Phase::Kind::f || phase.kind == Phase::Kind::self;
    }
  }
  bool rounds() const { return b || f; }
};

/// Where options say something, each as a condition on the others and the words that name it. They
/// are asked of options that are finished (finish_options), and hold those by reference.
class Conditions {
 public:
  explicit Conditions(const Options& options) : o_(options) {}

  // ---- what a run reads
  cli::When cbp() const {
    return when("a variant that trains CBP", [](const Options& o) { return reads(o).cbp; });
  }
  cli::When transformer() const {
    return when("--cbp transformer, where CBP is trained", is_transformer);
  }
  cli::When blocks() const {
    return when("--cbp transformer and --layers above 0, where CBP is trained",
                [](const Options& o) { return is_transformer(o) && o.cbp.layers > 0; });
  }
  cli::When vlp() const {
    return when("a variant or --fusion that asks VLP",
                [](const Options& o) { return reads(o).vlp; });
  }
  cli::When clip_rows() const {
    return when("VLP or --concat-clip", [](const Options& o) { return reads(o).clip; });
  }
  cli::When trained_text() const {
    return when("VLP, without --random-text-encoder",
                [](const Options& o) { return reads(o).vlp && !o.random_text_encoder; });
  }
  cli::When temporal() const { return when("VLP and --temporal-layers above 0", has_temporal); }
  /// Untrained blocks that start as the identity are the identity, whatever their number and heads.
  cli::When temporal_layers() const {
    return when("VLP, where B steps train it or --random-temporal-start",
                [](const Options& o) { return reads(o).vlp && moves_temporal(o); });
  }
  cli::When temporal_heads() const {
    return when(
        "VLP and --temporal-layers above 0, where B steps train it or --random-temporal-start",
        [](const Options& o) { return has_temporal(o) && moves_temporal(o); });
  }
  cli::When prompted() const {
    return when("VLP and --prompt-vectors above 0",
                [](const Options& o) { return reads(o).vlp && o.prompts.vectors > 0; });
  }

  // ---- steps
  cli::When learning() const {
    return when("steps of training", [](const Options& o) { return Kinds(o).any; });
  }
  cli::When trains() const {
    return when("a variant that trains CBP",
                [](const Options& o) { return o.variant != "vanilla-vlp"; });
  }
  cli::When several_variants() const {
    return when("--rounds above 0", [](const Options& o) {
      return is(o.variant, {"warm-up", "vanilla-vlp"}) || o.train.rounds > 0;
    });
  }
  cli::When alternation() const { return when("a variant that has rounds", alternates); }
  cli::When rounds() const {
    return when("a variant that has rounds", [](const Options& o) { return Kinds(o).rounds(); });
  }
  /// `later`: in rounds after the first, too.
  cli::When b_phases(bool later) const {
    return when(later ? "--variant both or only-b, in rounds without --first-b-steps"
                      : "--variant both or only-b",
                [later](const Options& o) {
                  return is(o.variant, {"both", "only-b"}) && o.train.rounds > 0 &&
                         (!later || o.train.first_b_steps == 0 || o.train.rounds > 1);
                });
  }
  cli::When f_phases() const {
    return when("--variant both, only-f or self-training", [](const Options& o) {
      return alternates(o) && o.variant != "only-b" && o.train.rounds > 0;
    });
  }
  cli::When b_learns() const {
    return when("B steps: --variant both or only-b, and --b-steps above 0",
                [](const Options& o) { return Kinds(o).b; });
  }
  cli::When f_learns() const {
    return when("F steps: --variant both, only-f or self-training, and --f-steps above 0",
                [](const Options& o) { return Kinds(o).f; });
  }
  cli::When dcl_steps() const {
    return when("steps of DCL: rounds, or a warm-up that is not a method's own", has_dcl_steps);
  }
  cli::When dcl_rate() const {
    return when("steps of DCL that have no rate of their own", [](const Options& o) {
      const Kinds kinds(o);
      return dcl_warm_up(o) || kinds.f || (kinds.b && o.train.vlp_learning_rate == 0);
    });
  }
  /// The position tables of both branches have a row for each of a crop.
  cli::When crops() const {
    return when("steps of DCL: rounds, or a warm-up that is not a method's own",
                [](const Options& o) {
                  return has_dcl_steps(o) || has_temporal(o) ||
                         (is_transformer(o) && o.positions == "learned");
                });
  }
  cli::When dropping() const {
    return when("steps that train a transformer", [](const Options& o) {
      const Kinds kinds(o);
      return (is_transformer(o) && (kinds.warm_up || kinds.f)) || (has_temporal(o) && kinds.b);
    });
  }
  cli::When top_k() const {
    return when("--method-inference dcl, or a warm-up that is not a method's own",
                [](const Options& o) { return o.method.inference == "dcl" || dcl_warm_up(o); });
  }

  // ---- what rounds teach
  cli::When contrast() const {
    return when("rounds and --lambda above 0",
                [](const Options& o) { return Kinds(o).rounds() && o.train.lambda > 0; });
  }
  cli::When distils() const {
    return when("rounds and L_kd", [](const Options& o) { return Kinds(o).rounds() && has_kd(o); });
  }
  cli::When background() const {
    return when("--variant both, only-f or self-training, and L_kd",
                [](const Options& o) { return Kinds(o).f && has_kd(o); });
  }
  /// Of the rules of the pseudo-labels that are named.
  cli::When rule(const char* one, const char* other = "") const {
    return when(concat("--pseudo-labels ", one, *other != '\0' ? " or " : "", other),
                [one, other](const Options& o) {
                  return Kinds(o).rounds() && (o.pseudo_labels == one || o.pseudo_labels == other);
                });
  }

  // ---- methods in CBP's place
  cli::When method_warm_up() const {
    return when("a warm-up of another --cbp than transformer",
                [](const Options& o) { return o.cbp_method != "transformer" && Kinds(o).warm_up; });
  }
  cli::When own_warm_up() const { return when("--method-warm-up own", has_own_warm_up); }
  cli::When own_rows() const {
    return when("--method-warm-up own, or --method-inference own of basnet or um",
                [](const Options& o) {
                  return has_own_warm_up(o) ||
                         (o.method.inference == "own" && is(o.cbp_method, {"basnet", "um"}));
                });
  }
  cli::When frames() const {
    return when("rounds or --method-inference dcl", [](const Options& o) {
      return reads(o).cbp && (Kinds(o).rounds() || o.method.inference == "dcl");
    });
  }

  // ---- inference
  cli::When dcl_inference() const {
    return when("--method-inference dcl",
                [](const Options& o) { return o.method.inference == "dcl"; });
  }
  cli::When weighted() const {
    return when("--fusion weighted", [](const Options& o) { return o.fusion == "weighted"; });
  }

 private:
  template <class Holds>
  cli::When when(std::string words, Holds holds) const {
    return {std::move(words), [&o = o_, holds] { return holds(o); }};
  }
  static bool is(const std::string& word, std::initializer_list<std::string_view> list) {
    return std::find(list.begin(), list.end(), word) != list.end();
  }
  static bool alternates(const Options& o) {
    return is(o.variant, {"both", "only-b", "only-f", "self-training"});
  }
  static bool is_transformer(const Options& o) {
    return reads(o).cbp && o.cbp_method == "transformer";
  }
  static bool has_temporal(const Options& o) { return reads(o).vlp && o.vlp.layers > 0; }
  static bool moves_temporal(const Options& o) { return o.random_temporal || Kinds(o).b; }
  static bool has_kd(const Options& o) { return !(o.no_foreground && o.no_background); }
  static bool has_own_warm_up(const Options& o) {
    return o.method.warm_up == "own" && o.cbp_method != "transformer" && Kinds(o).warm_up;
  }
  static bool dcl_warm_up(const Options& o) { return Kinds(o).warm_up && !has_own_warm_up(o); }
  static bool has_dcl_steps(const Options& o) { return Kinds(o).rounds() || dcl_warm_up(o); }

  const Options& o_;
};

}  // namespace dcl
