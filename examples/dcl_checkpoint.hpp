#pragma once
/// A checkpoint of train_dcl or train_boosting opened for use: its options, class names and
/// branches.

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "boosting_options.hpp"
#include "dcl_cbp.hpp"
#include "dcl_data.hpp"
#include "dcl_identity.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/wtal/model/tsm.hpp"

namespace dcl {

/// Reads what a checkpoint says of its options into `o`, with all that follows from them. What an
/// older program did not know has its default. Errors: an option that this program does not know, a
/// wrong type or range.
inline cli::OptionTable read_options(Options& o, const std::string& text, const std::string& path) {
  o.pseudo_labels = "thresholds";  // of a run from before there was a choice
  cli::OptionTable table = option_table(o);
  const std::string name = path + " (options)";
  const auto document = io::JsonDocument::parse(text, name);
  const io::JsonDocument typed(name, table.translated(document.root()));
  table.read(typed.root());
  finish_options(o);
  return table;
}

/// Values of options by their names.
using Values = std::vector<std::pair<std::string, io::Json>>;

/// The options of a checkpoint, but for those of inference that were given in `table`, and for
/// `values`.
inline Options with_given(Options o, const cli::OptionTable& table, const Values& values = {}) {
  cli::OptionTable own = option_table(o);
  for (const auto& option : table.options()) {
    if (option->part() == cli::Part::inference && option->given() && option->alternatives().empty())
      own.find(option->name())->set(option->json());
  }
  for (const auto& [name, value] : values) own.find(name)->set(value);
  TANDEM_CHECK(o.variant != "vanilla-vlp" || o.fusion == "vlp", "checkpoint",
               "the checkpoint is of --variant vanilla-vlp, whose CBP has not learned anything: "
               "--fusion vlp, not ",
               o.fusion);
  finish_options(o);
  return o;
}

/// Where what a checkpoint leaves out is found. Only needed where VLP speaks.
struct TextFiles {
  std::string data, clip_weights, vocabulary, tokens;
};

/// Of train_boosting's options what says where its data are and how they are judged.
inline void take_boosting_data(Options& to, const boosting::Options& from) {
  const Options& of = from.data;
  to.data = of.data;
  to.annotations = of.annotations;
  to.i3d = of.i3d;
  to.clip = of.clip;
  to.train_subset = of.train_subset;
  to.test_subset = of.test_subset;
  to.seconds_per_row = of.seconds_per_row;
  to.protocol = of.protocol;
}

/// The branches of a checkpoint, ready to score videos.
class Model {
 public:
  /// `classes` are used where the checkpoint does not name them; `precision` of the products, where
  /// it is not empty, in place of that it was trained with.
  Model(const std::string& path, std::vector<std::string> classes,
        const std::string& precision = "")
      : path_(path), checkpoint_(io::load_checkpoint<float>(path)), classes_(std::move(classes)) {
    const auto method = checkpoint_.notes.find("method");
    const bool boosting = method != checkpoint_.notes.end();
    TANDEM_CHECK(!boosting || method->second == boosting::method_name, "checkpoint", path,
                 " is of ", method->second, ", which this program does not know");
    if (boosting) {
      read_boosting_options();
    } else {
      read_options(options_, checkpoint_.options, path);
    }
    trained_precision_ = options_.precision;
    if (!precision.empty()) set_precision(options_, precision);
    name_classes();
    if (boosting) {
      open_tsm();
    } else {
      open_cbp();
    }
    if (cbp_) cbp_->eval();
  }

  /// Makes VLP ready to speak, which needs the text encoder.
  void open_vlp(const TextFiles& files) {
    TANDEM_CHECK(has("vlp."), "checkpoint", path_, " has no VLP, since ",
                 is_boosting() ? concat("it is of ", boosting::method_name)
                               : concat("--variant ", options_.variant, " does not train it"),
                 ": its scores are --fusion cbp");
    options_.data = files.data;
    options_.clip_weights = files.clip_weights;
    options_.vocabulary = files.vocabulary;
    options_.tokens = files.tokens;
    // Prompts have the width of an untrained text encoder; a trained one has its own.
    // The run's own texts are those at the precision that it was trained with.
    const std::string precision = options_.precision;
    set_precision(options_, trained_precision_);
    text_ = open_text(options_, classes_, tensor("vlp.prompts.before").size(-1));
    options_.vlp.width = text_.encoder->options().output;
    check_text(checkpoint_.notes, text_, path_);
    if (precision != trained_precision_) {
      set_precision(options_, precision);
      if (!options_.random_text_encoder) text_.encoder = open_text_encoder(options_);
    }
    PromptLearner<float>::Options prompts = options_.prompts;
    prompts.start_token = text_.tokens.start;
    prompts.end_token = text_.tokens.end;
    Generator random(0);
    vlp_ = std::make_unique<VlpBranch<float>>(options_.vlp, text_.encoder, text_.tokens.names,
                                              prompts, random);
    vlp_->load_state_dict(part("vlp."));
    vlp_->eval();
  }

  /// Scores on this device from now on.
  void to(Device device) {
    if (cbp_) cbp_->to(device);
    if (vlp_) vlp_->to(device), text_.encoder->to(device);
  }

  /// Null: not there, or not opened.
  const Branch<float>* cbp() const { return cbp_.get(); }
  const VlpBranch<float>* vlp() const { return vlp_.get(); }
  /// Refuses ways whose scores need a branch that the checkpoint has not.
  void check_branches(std::span<const InferenceOptions> ways) const {
    for (const InferenceOptions& way : ways) {
      TANDEM_CHECK(!asks_cbp(way.fusion) || has_cbp(), "checkpoint", path_,
                   " has no CBP, since --variant ", options_.variant,
                   " does not train it: its scores are --fusion vlp");
    }
  }
  const std::string& path() const { return path_; }
  const Options& options() const { return options_; }
  const std::vector<std::string>& classes() const { return classes_; }
  bool has_cbp() const { return cbp_ != nullptr; }
  /// A run of train_boosting, of which TSM speaks in CBP's place.
  bool is_boosting() const { return boosting_.has_value(); }
  /// "Boosting-WTAL", "basnet" …; "" for the transformer of the paper.
  std::string method() const {
    return is_boosting()                          ? boosting::method_name
           : options_.cbp_method == "transformer" ? ""
                                                  : options_.cbp_method;
  }
  /// Columns of CBP's rows.
  std::int64_t input() const { return input_; }
  /// Seconds of a row in training; 0: not said, or not the same in all videos.
  double seconds_per_row() const {
    const auto found = checkpoint_.notes.find("seconds_per_row");
    if (found == checkpoint_.notes.end()) return 0;
    const double seconds =
        io::JsonDocument::parse(found->second, path_ + " (seconds_per_row)").root().number();
    TANDEM_CHECK(seconds > 0, "checkpoint", path_, " says that a row lasts ", seconds, " s");
    return seconds;
  }
  /// What the checkpoint says of its training data and text encoder: "simulated data" …
  std::vector<std::string> notes() const {
    std::vector<std::string> out;
    if (std::string note = io::untested_note(checkpoint_, path_); !note.empty())
      out.push_back(std::move(note));
    for (const char* key : {"data", "text"}) {
      const auto found = checkpoint_.notes.find(key);
      if (found != checkpoint_.notes.end())
        out.push_back(concat("The model was trained with this note: ", found->second));
    }
    return out;
  }
  /// Of its training data; nothing where an older train_dcl wrote it.
  std::optional<DataFingerprint> data() const {
    const auto found = checkpoint_.notes.find("data_fingerprint");
    if (found == checkpoint_.notes.end()) return std::nullopt;
    return DataFingerprint::parse(found->second, path_ + " (data_fingerprint)");
  }
  std::int64_t steps() const { return checkpoint_.counters.empty() ? 0 : checkpoint_.counters[0]; }

  /// What the branches that any of `ways` asks say of i3d (T, D), clip (T, W); rows that are not
  /// read may be undefined.
  BranchScores score(const Tensor<float>& i3d, const Tensor<float>& clip,
                     std::span<const InferenceOptions> ways) const {
    return cli::saying_what_takes_less("--device cpu does without it", [&] {
      return branch_scores<float>(
          cbp_.get(), vlp_.get(),
          options_.concat_clip && i3d.defined() ? concat_rows(i3d, clip) : i3d, clip, ways);
    });
  }

  /// The detections in each of `ways`, of which `scores` are those of score() on the same rows.
  std::vector<std::vector<Detection>> localize(const Tensor<float>& i3d, const Tensor<float>& clip,
                                               const BranchScores& scores,
                                               std::span<const InferenceOptions> ways,
                                               double seconds_per_row) const {
    return localize_video<float>(
        cbp_.get(), options_.concat_clip && i3d.defined() ? concat_rows(i3d, clip) : i3d, scores,
        ways, seconds_per_row);
  }

 private:
  /// What of train_boosting's options the programs ask for: where its data are, how it is judged,
  /// and that it speaks by its own inference unless another is given.
  void read_boosting_options() {
    boosting_.emplace();
    cli::OptionTable table = boosting::option_table(*boosting_);
    table.read(io::JsonDocument::parse(checkpoint_.options, path_ + " (options)").root());
    take_boosting_data(options_, *boosting_);
    options_.concat_clip = boosting_->concat_clip;
    options_.cbp_method = "boosting";  // none of --cbp: what is only the transformer's is refused
    options_.method.inference = "own";
    options_.variant = "warm-up";
    options_.train.warm_up_steps = boosting_->train.steps;
    options_.train.rounds = 0;
    options_.train.batch = boosting_->recipe.batch;
    options_.train.learning_rate = boosting_->train.tsm_learning_rate;
    options_.train.seed = boosting_->train.seed;
    finish_options(options_);
  }

  /// The classes of the checkpoint; those that were given must be the same.
  void name_classes() {
    if (const auto named = checkpoint_.notes.find("classes"); named != checkpoint_.notes.end()) {
      const auto document = io::JsonDocument::parse(named->second, path_ + " (classes)");
      const std::vector<std::string> given = std::exchange(classes_, {});
      for (const auto& name : document.root().array())
        classes_.push_back(document.root().of(name).string());
      const std::string other =
          given.empty() ? "" : DataFingerprint::class_difference(classes_, given);
      TANDEM_CHECK(other.empty(), "checkpoint", path_,
                   " was trained with other classes than --classes names: ", other);
    }
    TANDEM_CHECK(!classes_.empty(), "checkpoint", path_,
                 " does not name its classes (it was written by an older ",
                 is_boosting() ? "train_boosting): train it anew with --fresh"
                               : "train_dcl): give the annotations it was trained with, --classes");
  }

  void open_cbp() {
    TANDEM_CHECK(has("cbp.") || has("vlp."), "checkpoint", path_,
                 " is not a checkpoint of train_dcl: it has neither CBP nor VLP");
    if (!has("cbp.")) return;
    const CbpShape shape = cbp_shape(options_.cbp_method);
    input_ = tensor(concat("cbp.", shape.columns)).size(1);
    const std::int64_t scored = tensor(concat("cbp.", shape.classes)).size(0) - shape.background;
    check_class_count(scored);
    Generator random(0);
    const std::int64_t clip =
        shape.half_i3d == nullptr ? 0 : input_ - 2 * tensor(concat("cbp.", shape.half_i3d)).size(0);
    cbp_ = make_cbp(options_, input_, clip, scored, random);
    cbp_->load_state_dict(part("cbp."));
  }

  /// TSM of Boosting-WTAL, which reads the word vectors of its classes.
  void open_tsm() {
    const Tensor<float>& words = tensor(boosting::class_words_name);
    TANDEM_CHECK(words.rank() == 3, "checkpoint", path_, " has ", words.shape(),
                 " as word vectors of its classes, expected (classes, words, width)");
    check_class_count(words.size(0));
    const std::int64_t stream = tensor("tsm.fAttn.channel_conv.0.weight").size(0),
                       clip = tensor("tsm.vAttn.channel_conv.0.weight").size(0) - stream;
    Generator random(0);
    input_ = 2 * stream + clip;
    auto branch = std::make_unique<TsmBranch<float>>(
        boosting::tsm_options(*boosting_, stream, clip, words.size(2)), words, random,
        options_.cbp.precision);
    branch->tsm.load_state_dict(part("tsm."));
    cbp_ = std::move(branch);
  }

  void check_class_count(std::int64_t scored) const {
    TANDEM_CHECK(scored == static_cast<std::int64_t>(classes_.size()), "checkpoint", path_,
                 " scores ", scored, " classes, ", classes_.size(), " are named");
  }

  bool has(const std::string& prefix) const {
    return std::any_of(checkpoint_.tensors.begin(), checkpoint_.tensors.end(),
                       [&](const auto& named) { return named.name.starts_with(prefix); });
  }
  const Tensor<float>& tensor(const std::string& name) const {
    for (const auto& named : checkpoint_.tensors) {
      if (named.name == name) return named.tensor;
    }
    fail("checkpoint", path_, " has no tensor ", name,
         is_boosting()
             ? ": it is not a checkpoint of train_boosting"
             : ": it is not a checkpoint of train_dcl, or not of --cbp " + options_.cbp_method);
  }
  std::vector<nn::Named<float>> part(const std::string& prefix) const {
    return nn::without_prefix(prefix, checkpoint_.tensors);
  }

  std::string path_;
  io::Checkpoint<float> checkpoint_;
  Options options_;
  std::string trained_precision_;
  std::optional<boosting::Options> boosting_;  ///< of a run of train_boosting
  std::vector<std::string> classes_;
  Text text_;
  std::int64_t input_ = 0;
  std::unique_ptr<Branch<float>> cbp_;
  std::unique_ptr<VlpBranch<float>> vlp_;
};

}  // namespace dcl
