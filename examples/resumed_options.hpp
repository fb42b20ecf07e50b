#pragma once
/// How a run that goes on gets its options: what is on its command line, else what options.json in
/// its folder says, else what its checkpoint says. A checkpoint holds only what decides the result,
/// so that its bytes do not depend on where data lie; options.json holds all.

#include <string>
#include <vector>

#include "option_table.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json.hpp"

namespace cli {

/// An option that a resumed run has otherwise than its checkpoint.
struct Change {
  std::string name;
  tandem::io::Json before, after;
  /// "--rounds 2 → 3"
  std::string str() const {
    return tandem::concat("--", name, " ", tandem::io::json_text(before), " → ",
                          tandem::io::json_text(after));
  }
};

inline std::string list_changes(const std::vector<Change>& changes) {
  std::string out;
  for (const Change& change : changes) out += (out.empty() ? "" : ", ") + change.str();
  return out;
}

/// Whether a run may go on with an option that had the value `before`: more of what grows, and what
/// only its inference asks.
inline bool may_change(const TableOption& option, const tandem::io::Json& before) {
  return option.part() == Part::inference || (option.grows() && option.json() > before);
}

/// Where a run lies.
struct RunPlace {
  const char* program;
  std::string out, checkpoint;  ///< the folder and the file in it
  /// "options.json" in the folder.
  std::string options_file() const { return tandem::io::join_path(out, "options.json"); }
};

/// Says where the data of a resumed run are to be named if its options.json is gone. `named`: on
/// the command line.  Errors: neither is there.
inline void check_options_file(const RunPlace& run, bool named) {
  TANDEM_CHECK(named || tandem::io::is_file(run.options_file()), run.program, run.out,
               " has a checkpoint and no options.json, which says where the data of the run are: "
               "give --data, or --annotations and the rows, and --resume goes on with the options "
               "of the checkpoint");
}

/// Gives the options of a resumed run their values, and says which of those that decide the result
/// are others than in `old`, the checkpoint's. `written`: the object of options.json, empty where
/// there is none.  Errors: an option that cannot change, by name; a file that is not of this run.
inline std::vector<Change> resume_options(OptionTable& table, const OptionTable& old,
                                          const tandem::io::Json& written, const RunPlace& run) {
  std::vector<Change> changes, refused, written_over;
  for (const auto& option : table.options()) {
    if (!option->recorded()) continue;
    const tandem::io::Json before = old.find(option->name())->json();
    if (!option->given()) {
      const auto found = written.find(option->name());
      if (found != written.end() && !found->is_null()) {
        option->set(*found);
      } else {
        option->set(before);
      }
    }
    if (!option->decides() || option->json() == before) continue;
    (may_change(*option, before) ? changes
     : option->given()           ? refused
                                 : written_over)
        .push_back({.name = option->name(), .before = before, .after = option->json()});
  }
  TANDEM_CHECK(written_over.empty(), run.program, run.options_file(), " and ", run.checkpoint,
               " disagree, so one of them is not of this run: ", list_changes(written_over),
               " from the checkpoint to the file. Without the file --resume goes on as the "
               "checkpoint says, given --data");
  TANDEM_CHECK(refused.empty(), run.program, "the run in ", run.out,
               " cannot go on with other options: ", list_changes(refused),
               ". Leave them out to resume it, or start another with --out");
  return changes;
}

}  // namespace cli
