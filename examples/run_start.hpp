#pragma once
/// How a training program takes its folder: begins a run in it, or goes on with the one that is
/// there.

#include <filesystem>
#include <string>

#include "option_table.hpp"
#include "tandem/io/file.hpp"

namespace cli {

/// What a run leaves in its folder, the checkpoint first.
inline constexpr const char* run_files[] = {"checkpoint.safetensors", "metrics.jsonl",
                                            "metrics.csv", "detections.json", "options.json"};

/// The files of a run that lie in a folder, "metrics.jsonl and detections.json"; "" where there are
/// none.
inline std::string files_of_run(const std::string& folder) {
  std::string out, last;
  for (const char* name : run_files) {
    if (!tandem::io::is_file(tandem::io::join_path(folder, name))) continue;
    if (!last.empty()) out += (out.empty() ? "" : ", ") + last;
    last = name;
  }
  return out.empty() ? last : out + " and " + last;
}

/// Refuses, before the folder is made, what cannot start.
inline void check_start(const char* program, const std::string& out, bool resume, bool fresh) {
  TANDEM_CHECK(!(resume && fresh), program, "--resume and --fresh exclude each other");
  TANDEM_CHECK(!resume || tandem::io::is_directory(out), program, "there is no checkpoint in ", out,
               " to resume from; leave --resume out to start");
}

/// Says whether a run may begin or go on in the folder, which exists and is locked. A folder that
/// holds any file of a run is a run, also where its checkpoint is gone. Errors: such a folder
/// without --resume or --fresh; --resume without a checkpoint; a name that something else than a
/// file has.
inline void check_run_folder(const char* program, const std::string& out, bool resume, bool fresh) {
  for (const char* name : run_files)  // not after the last step
    tandem::io::check_output_file(program, tandem::io::join_path(out, name));
  const std::string there = files_of_run(out);
  const bool checkpoint = tandem::io::is_file(tandem::io::join_path(out, run_files[0]));
  TANDEM_CHECK(!resume || checkpoint, program, "there is no checkpoint in ", out, " to resume from",
               there.empty() ? std::string("; leave --resume out to start")
                             : tandem::concat(", only ", there, " of a run: put its ", run_files[0],
                                              " back, or start anew with --fresh"));
  TANDEM_CHECK(there.empty() || resume || fresh, program, out, " holds a run already",
               checkpoint ? std::string(": --resume continues it, --fresh starts anew, --out names "
                                        "another folder")
                          : tandem::concat(", of which ", there, " ",
                                           there.find(' ') == there.npos ? "is" : "are",
                                           " there and no checkpoint: --fresh starts anew, --out "
                                           "names another folder"));
}

/// Says that no input is a file that the run writes over.  Errors: an option that names one.
inline void check_inputs_stay(const char* program, const OptionTable& table,
                              const std::string& out) {
  namespace fs = std::filesystem;
  const auto real = [](const std::string& path) { return fs::weakly_canonical(path).string(); };
  const std::string rounds = real(tandem::io::join_path(out, "rounds")) + "/";
  for (const auto& option : table.options()) {
    if (!option->is_path() || option->json() == "") continue;
    const std::string path = real(option->json().get<std::string>());
    bool lost = path.starts_with(rounds);
    for (const char* name : run_files)
      lost = lost || path == real(tandem::io::join_path(out, name));
    TANDEM_CHECK(!lost, program, "--", option->name(), " names ", option->json().get<std::string>(),
                 ", which the run in ", out, " writes over: name another folder with --out");
  }
}

/// Makes the paths of a run absolute: a resumed run may be started from another folder.
inline void make_paths_absolute(OptionTable& table) {
  for (const auto& option : table.options()) {
    if (!option->is_path() || option->json() == "") continue;
    option->set(Json(
        std::filesystem::absolute(option->json().get<std::string>()).lexically_normal().string()));
  }
}

}  // namespace cli
