#pragma once
/// The options of a run: what its options.json says beside its checkpoint, and which files they
/// name.

#include <string>
#include <string_view>
#include <vector>

#include "../dcl_checkpoint.hpp"
#include "../resumed_options.hpp"
#include "tandem/io/safetensors.hpp"

namespace report {

using namespace tandem;

/// Where a run says how it was started.
inline std::string options_file(const std::string& run) {
  return io::join_path(run, "options.json");
}

/// Every file and folder that the options.json of a run names as read: its data, and what stands
/// elsewhere. Nothing where there is no such file.
inline std::vector<std::string> paths_of_run(const std::string& run) {
  std::vector<std::string> out;
  if (run.empty() || !io::is_file(options_file(run))) return out;
  const io::JsonDocument document = io::JsonDocument::load(options_file(run));
  if (!document.json().is_object()) return out;
  dcl::Options of_dcl;
  boosting::Options of_boosting;
  const cli::OptionTable of[] = {dcl::option_table(of_dcl), boosting::option_table(of_boosting)};
  for (const cli::OptionTable& table : of) {
    for (const auto& option : table.options()) {
      if (!option->is_path()) continue;
      const auto found = document.json().find(option->name());
      if (found != document.json().end() && found->is_string())
        out.push_back(found->get<std::string>());
    }
  }
  return out;
}

namespace detail {

/// Refuses an options.json whose names are of another program than the checkpoint: `own` is the
/// table of the checkpoint's program, `other` that of the other.
inline void check_program(const std::string& checkpoint, const std::string& file,
                          const io::JsonRef& root, const cli::OptionTable& own,
                          const cli::OptionTable& other, bool boosting) {
  for (const auto& [key, value] : root.members()) {
    TANDEM_CHECK(own.find(key) != nullptr || other.find(key) == nullptr, "report", checkpoint,
                 " is of ", boosting ? "train_boosting" : "train_dcl", " and ", file, " of ",
                 boosting ? "train_dcl" : "train_boosting", ", which alone has --", key,
                 ": one of them is not of this run");
  }
}

/// Refuses options that decide the result and are others than the checkpoint's; what --resume may
/// change may differ.
inline void check_decisions(const std::string& checkpoint, const std::string& file,
                            const cli::OptionTable& before, const cli::OptionTable& now) {
  std::vector<cli::Change> changes;
  for (const auto& option : now.options()) {
    const io::Json was = before.find(option->name())->json(), is = option->json();
    if (option->decides() && is != was && !cli::may_change(*option, was))
      changes.push_back({option->name(), was, is});
  }
  TANDEM_CHECK(changes.empty(), "report", file, " and ", checkpoint,
               " disagree, so one of them is not of this run: ", cli::list_changes(changes),
               " from the checkpoint to the file");
}

}  // namespace detail

/// The options of the run in a folder, whose checkpoint is `model`; `data`, where it is not empty,
/// replaces all that says where its data were. Errors: an options.json that is of another program
/// or run than the checkpoint.
inline dcl::Options read_run_options(const std::string& run, const dcl::Model& model,
                                     const std::string& data) {
  dcl::Options out = model.options(), before = model.options();
  const std::string file = options_file(run);
  if (io::is_file(file)) {
    const io::JsonDocument document = io::JsonDocument::load(file);
    boosting::Options of, of_before;
    cli::OptionTable dcl_table = dcl::option_table(out), table = boosting::option_table(of);
    if (model.is_boosting()) {
      detail::check_program(model.path(), file, document.root(), table, dcl_table, true);
      cli::OptionTable table_before = boosting::option_table(of_before);
      const io::SafetensorsFile saved(model.path());
      const io::JsonDocument written =
          io::JsonDocument::parse(saved.metadata().at("options"), model.path() + " (options)");
      table_before.read(written.root());
      table.read(written.root());
      table.read(document.root());
      detail::check_decisions(model.path(), file, table_before, table);
      dcl::take_boosting_data(out, of);
    } else {
      detail::check_program(model.path(), file, document.root(), dcl_table, table, false);
      const io::JsonDocument typed(file, dcl_table.translated(document.root()));
      dcl_table.read(typed.root());
      dcl::finish_options(out);
      detail::check_decisions(model.path(), file, dcl::option_table(before), dcl_table);
    }
  }
  if (!data.empty()) {
    for (std::string* path :
         {&out.annotations, &out.i3d, &out.clip, &out.clip_weights, &out.vocabulary, &out.tokens})
      path->clear();
    out.data = data;
  }
  dcl::finish_options(out);
  return out;
}

/// What a run is of where no DCL is in it, so that CBP's scores are that method's: "Boosting-WTAL",
/// "BaS-Net" …; "" elsewhere.
inline std::string method_alone(const dcl::Model& model) {
  if (model.is_boosting()) return model.method();
  const dcl::Options& o = model.options();
  if (o.variant != "warm-up" || o.cbp_method == "transformer") return "";
  return dcl::method_title(o.cbp_method);
}

/// "method" and "names" of the page's data, where they are not DCL, CBP and VLP.
inline void name_scores(io::Json& page, const dcl::Model& model) {
  const std::string method = method_alone(model);
  if (method.empty()) return;
  page["method"] = method;
  page["names"] = io::Json::object();
  page["names"]["cbp"] = method;
}

/// "own" of the page's data, the fusions whose detections are by the method's own inference; and
/// the thresholds, where others use them.
inline void say_thresholds(io::Json& page, const std::vector<wtal::InferenceOptions>& ways) {
  io::Json::array_t own;
  for (const wtal::InferenceOptions& way : ways) {
    if (way.own) {
      own.emplace_back(std::string(wtal::fusion_name(way.fusion)));
      continue;
    }
    page["thetaLoc"] = way.localization.thresholds;
    page["thetaCls"] = way.localization.class_threshold;
    page["normalize"] = way.localization.normalize;
  }
  page["own"] = io::Json(std::move(own));
}

/// Why it is not known where the data of a run are, or "".
inline std::string no_data(const std::string& run, const dcl::Options& options) {
  if (!options.data.empty() || !options.annotations.empty()) return "";
  return concat(options_file(run),
                io::is_file(options_file(run))
                    ? " does not say where the data of the run are"
                    : ", which says where the data of the run are, is missing",
                ": give --data");
}

}  // namespace report
