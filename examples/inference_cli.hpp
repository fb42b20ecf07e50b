#pragma once
/// The command line that detect and localize share: a checkpoint, where rows come from, the texts
/// of VLP, and every option of inference, as the table of train_dcl declares it.

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
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
    app_ = &app;
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

  /// Adds --config; what a file gives may be for other runs, so that idle() does not look at it.
  void add_config(CLI::App& app) {
    cli::add_config(app, [this, &app](const tandem::io::JsonRef& root) {
      table.command_line_ends();
      typed_.emplace();
      for (const CLI::Option* option : app.get_options()) {
        if (option->count() > 0) typed_->push_back(option);
      }
      return root.json();
    });
  }

  /// What the command line says without effect on scores in these ways. `folder`: rows are those of
  /// --features or of videos, not of a data set.
  cli::IdleOptions idle(const Model& model, std::span<const InferenceOptions> ways,
                        bool folder) const {
    const Need need = needed_rows(model, ways);
    const bool asks =
        std::any_of(ways.begin(), ways.end(), [](const auto& way) { return asks_vlp(way.fusion); });
    cli::IdleOptions out;
    Options each = model.options();
    const cli::OptionTable of_way = option_table(each);
    for (const auto& option : table.options()) {
      if (option->part() != cli::Part::inference || !option->typed()) continue;
      const cli::TableOption& there = *of_way.find(option->name());
      const bool says = std::any_of(ways.begin(), ways.end(), [&](const InferenceOptions& way) {
        each.inference = way;
        each.fusion = std::string(fusion_name(way.fusion));
        each.method.inference = way.own ? "own" : "dcl";
        return there.says_something();
      });
      if (!says) out.add(there.where(), cli::words_of(*option->cli_option()));
    }
    const bool extracts = features.empty() && folder && (need.i3d || clip_features.empty());
    const bool rows = need.both && !extracts;  // the shorter kind ends a video
    add_idle(out, {"--vocabulary", "--tokens"}, asks, "--fusion that asks VLP");
    add_idle(out, {"--clip-weights"}, asks || (extracts && need.clip), "--fusion that asks VLP");
    add_idle(out, {"--data"}, asks || !folder, "a subset, or --fusion that asks VLP");
    add_idle(out, {"--i3d"}, !folder && (need.i3d || rows), "a subset whose I3D rows are read");
    add_idle(out, {"--clip"}, !folder && (need.clip || rows), "a subset whose CLIP rows are read");
    add_idle(out, {"--clip-features"}, need.clip || rows, "scores that ask VLP");
    add_idle(out, {"--protocol", "--subset"}, !folder || !annotations.empty(),
             "--annotations, or a subset");
    add_idle(out, {"--recursive"},
             std::any_of(inputs.begin(), inputs.end(),
                         [](const std::string& input) { return io::is_directory(input); }),
             "a folder of videos");
#if defined(TANDEM_VIDEO)
    const char* const made = "rows that are made of videos, without --features";
    add_idle(out, {"--i3d-rgb", "--i3d-flow", "--resize", "--crop", "--resize-filter"},
             extracts && need.i3d, made);
    add_idle(out, {"--clip-activation", "--clip-frames"}, extracts && need.clip, made);
    for (const CLI::Option* option : app_->get_options()) {
      const std::string name = option->get_name();
      const std::string_view group = option->get_group();
      if (group.starts_with("Flow")) add_idle(out, {name}, extracts && need.i3d, made);
      if (group == "Snippets" || name.starts_with("--random-") || name == "--decoding-threads")
        if (name != "--clip-frames") add_idle(out, {name}, extracts, made);
    }
#endif
    return out;
  }

  /// Notes those of `names` that the command line has, unless they say something.
  void add_idle(cli::IdleOptions& out, std::initializer_list<std::string> names, bool says,
                const char* where) const {
    for (const std::string& name : says ? std::initializer_list<std::string>{} : names) {
      const CLI::Option* option = app_->get_option_no_throw(name);
      if (option == nullptr) continue;
      const bool typed = typed_ ? std::find(typed_->begin(), typed_->end(), option) != typed_->end()
                                : option->count() > 0;
      if (typed) out.add(where, cli::words_of(*option));
    }
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
  /// Files and folders that are read.
  std::vector<std::string> read_from() const {
    std::vector<std::string> out{checkpoint, features, clip_features, classes, annotations};
    out.insert(out.end(), inputs.begin(), inputs.end());
    for (const auto& option : table.options()) {
      if (option->is_path()) out.push_back(option->json().get<std::string>());
    }
    return out;
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

 private:
  const CLI::App* app_ = nullptr;
  std::optional<std::vector<const CLI::Option*>> typed_;  // before a config file
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
