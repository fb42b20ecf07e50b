#pragma once
/// How a run of train_dcl starts: its options from the command line and, with --resume, from what
/// the run left behind; and everything that can be wrong is looked for before the first step.

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dcl_checkpoint.hpp"
#include "resumed_options.hpp"
#include "run_start.hpp"
#include "tandem/wtal/data/fingerprint.hpp"

namespace dcl {

using cli::Change, cli::list_changes;

/// What main() knows before it reads data.
struct Start {
  std::optional<io::Checkpoint<float>> saved;  ///< with --resume
  std::vector<Change> changes;                 ///< that a resumed run makes
  std::string checkpoint_options;              ///< for the checkpoint: what decides the result
  std::string file_options;                    ///< for options.json: everything
  std::string idle;                            ///< what was given without effect, or ""
};

/// True if the first `steps` steps of both schedules are of the same kinds and rounds.
inline bool same_beginning(const std::vector<Phase>& a, const std::vector<Phase>& b,
                           std::int64_t steps) {
  std::size_t i = 0, j = 0;
  for (std::int64_t at = 0; at < steps;) {
    while (i < a.size() && a[i].end <= at) ++i;
    while (j < b.size() && b[j].end <= at) ++j;
    if (i == a.size() || j == b.size() || a[i].kind != b[j].kind || a[i].round != b[j].round)
      return false;
    at = std::min(a[i].end, b[j].end);
  }
  return true;
}

/// Gives the options of a resumed run their values: what is on the command line, else what
/// options.json in the folder says, else what the checkpoint says. Errors name the options that
/// cannot change.
inline std::vector<Change> resume_options(Options& o, cli::OptionTable& table,
                                          const io::Checkpoint<float>& saved,
                                          const std::string& path) {
  Options old;  // the run so far
  const cli::OptionTable old_table = read_options(old, saved.options, path);
  const std::string file = io::join_path(o.out, "options.json");
  io::Json written = io::Json::object();
  if (io::is_file(file)) {
    const auto document = io::JsonDocument::load(file);
    const io::JsonDocument typed(file, table.translated(document.root()));
    Options checked;
    option_table(checked).read(typed.root());
    written = typed.json();
  }
  const cli::RunPlace run{"train_dcl", o.out, path};
  cli::check_options_file(run, !o.data.empty() || !o.annotations.empty());
  const std::vector<Change> changes = cli::resume_options(table, old_table, written, run);
  finish_options(o);
  const Reads had = reads(old), need = reads(o);
  TANDEM_CHECK((had.cbp || !need.cbp) && (had.vlp || !need.vlp), "train_dcl", "the run in ", o.out,
               " has no ", need.vlp && !had.vlp ? "VLP" : "CBP",
               ", which these options need: ", list_changes(changes));
  std::vector<Change> longer;
  for (const Change& change : changes) {
    if (table.find(change.name)->grows()) longer.push_back(change);
  }
  if (longer.empty()) return changes;
  const std::int64_t steps = saved.counters.empty() ? 0 : saved.counters[0];
  TANDEM_CHECK(same_beginning(training_phases(old.train), training_phases(o.train), steps),
               "train_dcl", "the run in ", o.out, " has done ", steps,
               " steps, some of which would be others with ", list_changes(longer));
  TANDEM_CHECK(o.schedule != "cosine", "train_dcl", "the run in ", o.out,
               " cannot be made longer (", list_changes(longer),
               "): with --schedule cosine the learning rate of every step depends on how many "
               "there are");
  return changes;
}

/// The options of this run, complete, and the checkpoint that it goes on from. The folder is
/// locked, so it can be written to.
inline Start start_run(Options& o, cli::OptionTable& table) {
  const std::string checkpoint = io::join_path(o.out, "checkpoint.safetensors");
  cli::check_run_folder("train_dcl", o.out, o.resume, o.fresh);
  cli::check_inputs_stay("train_dcl", table, o.out);
  cli::make_paths_absolute(table);
  const std::string asked = table.given("fusion") ? o.fusion : "vlp";
  Start start;
  if (o.resume) {
    start.saved = io::load_checkpoint<float>(checkpoint);
    if (const auto method = start.saved->notes.find("method"); method != start.saved->notes.end())
      fail("train_dcl", checkpoint, " is of ", method->second,
           method->second == boosting::method_name
               ? ", so it cannot go on here: train_boosting --resume goes on with it"
               : ", which this program does not know");
    start.changes = resume_options(o, table, *start.saved, checkpoint);
  } else {
    finish_options(o);
  }
  (void)cli::open_precision("train_dcl", o.precision, false,
                            cli::open_device("train_dcl", o.device));
  TANDEM_CHECK(o.variant != "vanilla-vlp" || asked == "vlp", "train_dcl",
               "--variant vanilla-vlp does not train CBP: its scores are --fusion vlp, not ",
               asked);
  start.checkpoint_options = io::json_text(table.json(true), 2);
  start.file_options = io::json_text(table.json(), 2) + "\n";
  start.idle = table.idle();
  return start;
}

/// Reads all rows that the run will read once, so that a number that is none is found now and not
/// hours later, and data that are not those of the run.
inline DataFingerprint check_features(const Options& o, const Data& data) {
  struct Rows {  // undefined where the run does not read them
    const SubsetSource& source;
    Reads need;
    const GroundTruth& truth() const { return source.truth(); }
    Tensor<float> i3d(std::size_t v) const { return need.i3d ? source.i3d(v) : Tensor<float>(); }
    Tensor<float> clip(std::size_t v) const { return need.clip ? source.clip(v) : Tensor<float>(); }
  };
  const auto started = std::chrono::steady_clock::now();
  std::optional<cli::Progress> progress;
  const std::size_t all = data.train->size() + data.test->size();
  std::size_t done = 0;
  const auto read = [&] {
    ++done;
    if (!progress && std::chrono::steady_clock::now() - started > std::chrono::seconds(2)) {
      progress.emplace("checking features", all, done);
    }
    if (progress) progress->update(done);
  };
  DataFingerprint out;
  for (const SubsetSource* source : {data.train.get(), data.test.get()})
    out.add(Rows{*source, reads(o)}, read);
  if (progress) progress->finish();
  return out;
}

}  // namespace dcl
