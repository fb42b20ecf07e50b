#pragma once
/// The command line that detect and localize share: a checkpoint, where rows come from, the texts
/// of VLP, and every option of inference, as the table of train_dcl declares it.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dcl_checkpoint.hpp"
#include "video_rows.hpp"
#include "video_search.hpp"

namespace dcl {

/// What both programs are asked.
struct InferenceCli {
  std::string checkpoint, features, clip_features, classes, annotations;
  std::string precision;            ///< empty: as trained
  std::vector<std::string> inputs;  ///< videos, and folders of them
  bool recursive = false;
  Options options;  ///< those of train_dcl: what is given replaces what the checkpoint says
  cli::OptionTable table = option_table(options);
#if defined(TANDEM_VIDEO)
  extract::Options extraction;
#endif

  InferenceCli() = default;
  InferenceCli(const InferenceCli&) = delete;  // the table knows where the options are
  InferenceCli& operator=(const InferenceCli&) = delete;

  /// Of the options of inference, several values may be tried of those in `several`.
  void add_to(CLI::App& app, std::span<const std::string_view> several = {}) {
    app.add_option("videos", inputs, "Videos, or folders of them")->check(outputs::existing_entry);
    app.add_flag("--recursive", recursive, "Look into the folders below as well");
    app.add_option("--checkpoint", checkpoint,
                   "checkpoint.safetensors of train_dcl or train_boosting")
        ->required()
        ->check(CLI::ExistingFile);
    app.add_option("--classes", classes,
                   "Annotations with the class names, where the checkpoint lacks them")
        ->check(CLI::ExistingPath);
    table.add_to(app, cli::Part::inference, "as trained", several);
    table.add_to(app, {"data", "vocabulary", "tokens"});
#if defined(TANDEM_VIDEO)
    extract::add_options(app, extraction);
    app.remove_option(app.get_option("--streams"));  // the model decides
    app.get_option("--precision")->default_str("as trained; of encoders fp32");
#else
    table.add_to(app, {"clip-weights", "threads", "device"});
    cli::add_precision(app, precision, "the factors of all products", "as trained");
#endif
  }

  /// What follows from the words, before anything is opened.
  void finish() {
#if defined(TANDEM_VIDEO)
    if (!extraction.clip.empty()) options.clip_weights = extraction.clip;  // one file, both sides
    options.threads = extraction.threads;
    options.device = extraction.device;
    precision = extraction.bfloat16 && extraction.precision.empty() ? "bf16" : extraction.precision;
#endif
    if (options.threads > 0) cpu::set_num_threads(static_cast<int>(options.threads));
  }

  /// The checkpoint, VLP closed.
  Model open_model() const {
    std::vector<std::string> names;
    if (!classes.empty()) names = read_ground_truth(classes).classes;
    return Model(checkpoint, std::move(names), precision);
  }
  /// Where VLP's texts are: beside the features, as simulate_features writes them, if nothing else
  /// is said.
  TextFiles texts() const {
    return {.data = options.data.empty() && io::is_directory(features) ? features : options.data,
            .clip_weights = options.clip_weights,
            .vocabulary = options.vocabulary,
            .tokens = options.tokens};
  }
  /// Opens what scores in these ways need.
  void prepare(Model& model, std::span<const InferenceOptions> ways) const {
    model.check_branches(ways);
    const Device device = cli::open_device("inference", options.device);
    (void)cli::open_precision("inference", precision, false, device);
    for (const InferenceOptions& way : ways) {
      if (!asks_vlp(way.fusion)) continue;
      model.open_vlp(texts());
      break;
    }
    cli::saying_what_takes_less("--device cpu does without it", [&] { model.to(device); });
  }
  RowReader open_rows(const Model& model, std::span<const InferenceOptions> ways) const {
    RowOptions rows;
    rows.features = features;
    rows.clip_features = clip_features;
    rows.seconds_per_row = options.seconds_per_row;
#if defined(TANDEM_VIDEO)
    rows.extraction = extraction;
#endif
    return RowReader(std::move(rows), needed_rows(model, ways), model);
  }
};

/// The videos of a command line: those that are named, else those that a folder of features has.
/// What cannot be found among several is a failure of its own.
inline std::vector<videos::Found> find_inputs(const InferenceCli& o, const Need& need,
                                              outputs::Failures& failures, const char* program) {
  if (!o.inputs.empty()) return videos::find(o.inputs, o.recursive, failures, program);
  std::vector<videos::Found> out;
  for (std::string& id : list_rows(o.features, need)) out.push_back({.id = std::move(id)});
  return out;
}

}  // namespace dcl
