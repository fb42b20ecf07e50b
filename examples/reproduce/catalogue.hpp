#pragma once
/// The tables: which runs of train_dcl each of them compares.

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "presets.hpp"

namespace reproduce {

/// A line of a table: train_dcl with these options on top of the preset's, or train_boosting.
struct Row {
  std::string name;
  Settings settings;
  std::string baseline = {};  ///< the row of the same table that it is compared with; "": none
  bool chance = false;        ///< each video gets what was found in another
  bool boosting = false;      ///< of train_boosting, whose options `settings` are
};

struct Table {
  /// What stands in the columns.
  enum class Kind {
    scores,   ///< mAP of each fusion, and the differences to the baseline
    rounds,   ///< the same after every round, without differences
    labels,   ///< pseudo-labels of both branches after every round
    overlaps  ///< mAP at each tIoU
  };
  std::string name, title;
  Kind kind = Kind::scores;
  std::vector<Row> rows = {};
  /// What a row is compared with: the same scores of the baseline, or always its CBP.
  bool against_cbp = false;
  std::vector<std::string> notes = {};
};

/// Steps of a whole alternation.
inline std::int64_t alternation_steps(const dcl::Options& o) {
  TrainerOptions t = o.train;
  t.variant = Variant::both;
  const std::vector<Phase> phases = training_phases(t);
  return phases.empty() ? 0 : phases.back().end;
}

/// Makes all tables for the options that they vary.
class Catalogue {
 public:
  /// `stable`: the rule that stands beside the published thresholds outside the table main.
  /// `most_prompts`: learned vectors that the text encoder has room for. `methods`: what the rows
  /// of other methods in CBP's place are set to; without them, since CBP is such a method already,
  /// null. `boosting`: likewise of Boosting-WTAL; null where its word vectors are missing.
  Catalogue(const dcl::Options& base, std::string stable, std::int64_t most_prompts,
            const Settings* methods = nullptr, const Settings* boosting = nullptr)
      : base_(base),
        stable_(std::move(stable)),
        most_prompts_(most_prompts),
        method_settings_(methods),
        boosting_settings_(boosting) {
    strategies();
    losses();
    features();
    vanilla();
    trajectories();
    sweeps();
    if (method_settings_ != nullptr) other_methods();
  }
  const std::vector<Table>& tables() const { return tables_; }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const Table& t : tables_) out.push_back(t.name);
    return out;
  }

 private:
  static std::string said(const std::string& rule) {
    return rule == "thresholds" ? std::string("published thresholds") : rule;
  }
  static Row strategy(const std::string& variant, const std::string& name,
                      const std::string& rule) {
    Row row{.name = name + ", " + said(rule),
            .settings = {{"variant", variant}, {"pseudo-labels", rule}},
            .baseline = "warm-up"};
    // Without VLP there is nothing to fuse.
    if (variant == "self-training") row.settings.push_back({"fusion", "cbp"});
    return row;
  }
  static Row with(Row row, const std::string& name, const Settings& more,
                  const std::string& baseline) {
    row.name = name;
    row.baseline = baseline;
    row.settings.insert(row.settings.end(), more.begin(), more.end());
    return row;
  }
  static Row warm_up() { return {.name = "warm-up", .settings = {{"variant", "warm-up"}}}; }
  Row longer_warm_up() const {
    const std::int64_t steps = alternation_steps(base_);
    return {.name = concat("warm-up of all ", steps, " steps"),
            .settings = {{"variant", "warm-up"}, {"warm-up-steps", steps}},
            .baseline = "warm-up"};
  }
  static Row concatenated() {
    return {.name = "warm-up, I3D and CLIP side by side",
            .settings = {{"variant", "warm-up"}, {"concat-clip", true}},
            .baseline = "warm-up"};
  }

  void strategies() {
    Table t{
        .name = "main",
        .title =
            "Strategies, with the published thresholds and with the rules that hold a "
            "video's level",
        .against_cbp = true,
        .notes = {"Differences are to CBP of the row warm-up, pair by pair.",
                  "self-training: CBP teaches itself, without VLP.",
                  "oracle labels: the annotated segments of the training videos teach, so these "
                  "are ceilings."}};
    t.rows = {warm_up(), longer_warm_up(), concatenated()};
    for (const auto& [variant, name] :
         std::vector<std::pair<std::string, std::string>>{{"self-training", "self-training"},
                                                          {"only-f", "only F"},
                                                          {"only-b", "only B"},
                                                          {"both", "both"}}) {
      for (const char* rule : {"thresholds", "calibrated", "ranked", "min-max"})
        t.rows.push_back(strategy(variant, name, rule));
    }
    t.rows.push_back(with(strategy("both", "", "oracle"), "both, oracle labels", {}, "warm-up"));
    Table overlaps = t;
    overlaps.name = "overlaps";
    overlaps.title = "The same strategies, mAP at each tIoU";
    overlaps.kind = Table::Kind::overlaps;
    overlaps.notes = {"CBP alone, and the mean of both branches after min-max normalisation."};
    tables_ = {std::move(t), std::move(overlaps)};
  }

  void losses() {
    Table t{.name = "losses", .title = "Losses, one left out at a time"};
    for (const std::string& rule : rules()) {
      const Row whole = strategy("both", "both", rule);
      const std::string& name = whole.name;
      t.rows.push_back(with(whole, name, {}, ""));
      const Settings front{{"no-kd-foreground", true}}, back{{"no-kd-background", true}};
      t.rows.push_back(with(whole, name + ", no L_kd foreground", front, name));
      t.rows.push_back(with(whole, name + ", no L_kd background", back, name));
      t.rows.push_back(with(whole, name + ", no L_kd",
                            {{"no-kd-foreground", true}, {"no-kd-background", true}}, name));
      t.rows.push_back(with(whole, name + ", no L_fb", {{"lambda", 0}}, name));
    }
    t.notes = {"Differences are to the row of the same rule with all losses."};
    tables_.push_back(std::move(t));
  }

  void features() {
    Table t{.name = "features", .title = "CLIP features beside the I3D features that CBP reads"};
    Row alone = warm_up(), beside = concatenated();
    t.rows = {alone, beside};
    for (const std::string& rule : rules()) {
      const Row both = strategy("both", "both", rule);
      t.rows.push_back(with(both, both.name, {}, ""));
      t.rows.push_back(with(both, both.name + ", I3D and CLIP side by side",
                            {{"concat-clip", true}}, both.name));
    }
    t.notes = {"Differences are to the same strategy on I3D features alone."};
    tables_.push_back(std::move(t));
  }

  void vanilla() {
    Table t{.name = "vanilla", .title = "Vanilla VLP: CLIP as it is, nothing trained"};
    const std::int64_t vectors = base_.prompts.vectors;
    for (const char* reading : {"sigmoid", "softmax"}) {
      for (const std::int64_t n : {std::int64_t{0}, vectors}) {
        Row row{.name = concat("vanilla VLP, ", reading,
                               n == 0 ? std::string(", class name alone")
                                      : concat(", ", n, " random vectors on either side")),
                .settings = {
                    {"variant", "vanilla-vlp"}, {"vlp-reading", reading}, {"prompt-vectors", n}}};
        t.rows.push_back(std::move(row));
        if (vectors == 0) break;
      }
    }
    tables_.push_back(std::move(t));
  }

  void trajectories() {
    std::vector<Row> rows;
    for (const char* rule : {"thresholds", "calibrated", "ranked", "min-max"})
      rows.push_back(strategy("both", "both", rule));
    for (const std::string& rule : rules()) {
      rows.push_back(strategy("only-f", "only F", rule));
      rows.push_back(strategy("only-b", "only B", rule));
      rows.push_back(strategy("self-training", "self-training", rule));
    }
    for (Row& row : rows) row.baseline.clear();  // no differences are taken here
    tables_.push_back({.name = "rounds",
                       .title = "Round by round: mAP on the test videos",
                       .kind = Table::Kind::rounds,
                       .rows = rows});
    tables_.push_back(
        {.name = "labels",
         .title = "Round by round: IoU of the pseudo-labels of the training videos",
         .kind = Table::Kind::labels,
         .rows = std::move(rows),
         .notes = {
             "fg and bg are the mean IoU with the annotated foreground and background; frames "
             "that are not decided count as missed.",
             "(δ): labels by the thresholds, whatever rule teaches; (rule): by the row's own "
             "rule. called: share of the frames above δ_h."}});
  }

  /// One option, several values; `rules`: under which rules.
  void sweep(const std::string& table, const std::string& title, const std::string& option,
             const std::vector<io::Json>& values, const std::vector<std::string>& under) {
    Table t{.name = table, .title = title};
    for (const std::string& rule : under) {
      const Row both = strategy("both", "both", rule);
      for (const io::Json& value : values) {
        Row row = with(both, both.name + ", " + words({{option, value}}), {{option, value}}, "");
        t.rows.push_back(std::move(row));
      }
    }
    tables_.push_back(std::move(t));
  }
  static std::vector<io::Json> numbers(const std::vector<double>& values) {
    return {values.begin(), values.end()};
  }

  void sweeps() {
    const double low = base_.train.pseudo.low, high = base_.train.pseudo.high;
    std::vector<double> highs, lows;
    for (const double x : {0.2, 0.3, 0.4, 0.5, 0.6}) {
      if (x >= low) highs.push_back(x);
    }
    for (const double x : {0.02, 0.05, 0.1, 0.2, 0.3}) {
      if (x <= high) lows.push_back(x);
    }
    const std::vector<std::string> fixed{"thresholds", "calibrated"};
    sweep("delta-high", "δ_h: foreground above", "high", numbers(highs), fixed);
    sweep("delta-low", "δ_l: background below", "low", numbers(lows), fixed);
    sweep("lambda", "λ: weight of L_fb", "lambda", numbers({0, 0.01, 0.05, 0.2, 1}), rules());
    sweep("tau", "τ of L_fb", "contrast-temperature", numbers({0.03, 0.07, 0.2, 0.5}), rules());
    sweep("theta-cls", "θ_cls: video score of the classes to localize", "theta-cls",
          numbers({0.5, 0.7, 0.85, 0.95}), rules());
    sweep("theta-loc", "θ_loc: frame threshold of proposals", "theta-loc",
          {{0.25}, {0.35}, {0.45}, {0.55}, {0.65}, {0.25, 0.35, 0.45, 0.55, 0.65}}, rules());
    sweep("weight", "Weight of CBP in the weighted fusion", "cbp-weight",
          numbers({0.1, 0.3, 0.5, 0.7, 0.9}), rules());
    std::vector<io::Json> prompts;
    for (const std::int64_t n : {0, 2, 4, 8, 16}) {
      if (n <= most_prompts_) prompts.emplace_back(n);
    }
    sweep("prompts", "Learned prompt vectors on either side of the class name", "prompt-vectors",
          prompts, rules());
    lengths();
    ratios();
    shares();
  }

  void lengths() {
    Table t{.name = "warm-up", .title = "Length of the warm-up"};
    const std::int64_t steps = base_.train.warm_up_steps;
    std::vector<std::int64_t> lengths{steps / 4, steps / 2, steps, 2 * steps};
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
    for (const std::int64_t n : lengths) {
      const Settings length{{"warm-up-steps", n}};
      Row alone = with(warm_up(), concat("warm-up of ", n, " steps"), length, "");
      const std::string name = alone.name;
      t.rows.push_back(std::move(alone));
      for (const std::string& rule : rules()) {
        const Row both = strategy("both", "both", rule);
        t.rows.push_back(with(both, concat(both.name, ", warm-up of ", n, " steps"), length, name));
      }
    }
    t.notes = {"Differences are to the warm-up of the same length."};
    tables_.push_back(std::move(t));
  }

  void ratios() {
    Table t{.name = "ratio", .title = "B to F steps of a round, of as many steps in all"};
    const std::int64_t all = base_.train.b_steps + base_.train.f_steps;
    std::vector<std::int64_t> chosen{all / 5, all / 2, 4 * all / 5, base_.train.b_steps};
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    for (const std::string& rule : rules()) {
      const Row both = strategy("both", "both", rule);
      for (const std::int64_t b : chosen) {
        t.rows.push_back(with(both, concat(both.name, ", ", b, " B and ", all - b, " F steps"),
                              {{"b-steps", b}, {"f-steps", all - b}}, ""));
      }
    }
    tables_.push_back(std::move(t));
  }

  void shares() {
    Table t{.name = "shares", .title = "Shares of a video that the rule ranked labels"};
    const Row both = strategy("both", "both", "ranked");
    for (const double front : {0.0625, 0.125, 0.25}) {
      for (const double back : {0.25, 0.5, 0.7}) {
        t.rows.push_back(with(both,
                              concat(both.name, ", foreground ", cli::number_text(front),
                                     ", background ", cli::number_text(back)),
                              {{"ranked-foreground", front}, {"ranked-background", back}}, ""));
      }
    }
    tables_.push_back(std::move(t));
  }

  /// Each method alone, with CLIP rows beside its own (the paper's naive combination), and in CBP's
  /// place.
  void other_methods() {
    Table t{
        .name = "methods",
        .title = "Other methods: alone, with CLIP rows beside the I3D rows, in CBP's place",
        .against_cbp = true,
        .notes = {"alone: the method's own loss, batches and inference, for as many steps as "
                  "the warm-up has. Differences are to this row of the same method, of this row "
                  "to chance.",
                  concat("chance: the same detections, each video having those of another; the "
                         "mean of ",
                         chance_draws, " draws."),
                  "CO2-Net and Boosting-WTAL read CLIP's rows as part of their RGB stream."}};
    const auto add = [&](const std::string& method, const std::string& name) {
      const bool transformer = method == "transformer";
      Settings own{{"cbp", method}};
      for (const Setting& s : *method_settings_) {
        const bool width_is_inputs = method == "wtalc" && s.name == "method-width";
        if (!transformer && !width_is_inputs) own.push_back(s);
      }
      // The rows of one training are of the same branches: VLP is read by all of them or by none.
      if (!transformer) own.push_back({"fusion", "cbp"});
      const std::string first = name + " alone";
      const Row by_dcl = with(warm_up(), first, own, "");
      const Row row =
          with(by_dcl, first, transformer ? Settings() : Settings{{"method-inference", "own"}}, "");
      Row chance = with(row, first + ", chance", {}, "");
      chance.chance = true;
      t.rows.push_back(with(row, first, {}, chance.name));
      t.rows.push_back(std::move(chance));
      if (!transformer) t.rows.push_back(with(by_dcl, name + " alone, DCL's inference", {}, first));
      t.rows.push_back(
          with(row, name + ", I3D and CLIP side by side", {{"concat-clip", true}}, first));
      if (!transformer) own.pop_back();
      for (const std::string& rule : rules()) {
        t.rows.push_back(
            with(strategy("both", "", rule), name + " as CBP in DCL, " + said(rule), own, first));
      }
    };
    for (const char* cbp : {"transformer", "basnet", "co2", "um", "wtalc"})
      add(cbp, dcl::method_title(cbp));
    if (boosting_settings_ == nullptr) {
      t.notes.push_back(
          "Boosting-WTAL is not there: it needs word vectors, --glove or glove.txt in every "
          "world.");
    } else {
      Settings own{{"steps", base_.train.warm_up_steps}};
      own.insert(own.end(), boosting_settings_->begin(), boosting_settings_->end());
      const std::string name = "Boosting-WTAL alone", chance = name + ", chance";
      t.rows.push_back({.name = name, .settings = own, .baseline = chance, .boosting = true});
      t.rows.push_back({.name = chance, .settings = own, .chance = true, .boosting = true});
      Settings beside = own;
      beside.push_back({"concat-clip", true});
      t.rows.push_back({.name = "Boosting-WTAL, I3D and CLIP side by side",
                        .settings = beside,
                        .baseline = name,
                        .boosting = true});
      t.notes.push_back(
          "Boosting-WTAL is trained by train_boosting, two networks with text of which TSM is "
          "tested; it is no branch that could stand in CBP's place.");
    }
    tables_.push_back(std::move(t));
  }

  std::vector<std::string> rules() const { return {"thresholds", stable_}; }

  const dcl::Options& base_;
  std::string stable_;
  std::int64_t most_prompts_;
  const Settings* method_settings_;
  const Settings* boosting_settings_;
  std::vector<Table> tables_;
};

}  // namespace reproduce
