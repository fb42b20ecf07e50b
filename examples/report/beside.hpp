#pragma once
/// What `report --beside` asks of two runs: that they are of the same data, what is different in
/// their options, and what they are called on the page.

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../dcl_checkpoint.hpp"
#include "pair_page.hpp"

namespace report {

/// One of the two: its folder, its checkpoint, its options.
struct ComparedRun {
  const std::string& folder;
  const dcl::Model& model;
  dcl::Options& options;
  std::string protocol;  ///< how it was judged; "" where no evaluation is there
};

/// The name of a run's folder.
inline std::string name_of(const std::string& run) {
  std::string folder = std::filesystem::absolute(run).lexically_normal().string();
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  return std::filesystem::path(folder).filename().string();
}

/// The names of two runs; their paths where the folders are called the same.
inline std::pair<std::string, std::string> names_of(const ComparedRun& a, const ComparedRun& b) {
  std::string first = name_of(a.folder), second = name_of(b.folder);
  if (first == second) return {a.folder, b.folder};
  return {std::move(first), std::move(second)};
}

/// Runs whose annotations differ are not compared. What rows they read of these videos may differ.
inline void check_same_data(const ComparedRun& a, const ComparedRun& b) {
  std::optional<wtal::DataFingerprint> mine = a.model.data(), its = b.model.data();
  std::string what;
  if (mine && its) {
    for (wtal::DataFingerprint* one : {&*mine, &*its}) {
      for (wtal::VideoFingerprint& v : one->videos) v.rows = 0, v.i3d.clear(), v.clip.clear();
    }
    what = mine->difference(*its);
  } else {
    what = wtal::DataFingerprint::class_difference(a.model.classes(), b.model.classes());
  }
  TANDEM_CHECK(what.empty(), "report", "the runs in ", a.folder, " and ", b.folder,
               " are of different data sets and cannot stand side by side: ", what);
  TANDEM_CHECK(a.protocol == b.protocol || a.protocol.empty() || b.protocol.empty(), "report",
               "the runs in ", a.folder, " and ", b.folder,
               " are judged by different protocols: ", a.protocol, " and ", b.protocol);
}

/// Options that decide a run and are not the same in both.
inline std::vector<OptionDifference> differences(const ComparedRun& a, const ComparedRun& b) {
  std::vector<OptionDifference> out;
  const cli::OptionTable mine = dcl::option_table(a.options), its = dcl::option_table(b.options);
  const auto text = [](const io::Json& value) {
    return value.is_string() ? value.get<std::string>() : io::json_text(value);
  };
  for (const auto& option : mine.options()) {
    const io::Json first = option->json(), second = its.find(option->name())->json();
    if (option->decides() && first != second)
      out.push_back({option->name(), text(first), text(second)});
  }
  return out;
}

}  // namespace report
