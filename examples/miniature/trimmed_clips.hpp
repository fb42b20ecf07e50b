#pragma once
/// A folder of trimmed clips and the lists that say which of them are for training and which for
/// testing, laid out as UCF101: FOLDER/<Class>/<name>.mp4, FOLDER/trainlist01.txt and
/// FOLDER/testlist01.txt with a line "<Class>/<name>.avi" (a number may follow) for each clip.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/file.hpp"
#include "tandem/tensor/suggest.hpp"

namespace miniature {

using namespace tandem;

struct TrimmedClip {
  std::string path, name;  ///< name: without folder and ending
  std::string group;       ///< clips of one group show the same people and place
  int cls = 0;
};

/// The clips of some classes.
struct TrimmedClips {
  std::vector<std::string> classes;
  std::vector<TrimmedClip> train, test;  ///< by class and name

  /// Those of class `cls` in `of`, which is train or test.
  static std::vector<TrimmedClip> of_class(const std::vector<TrimmedClip>& of, int cls) {
    std::vector<TrimmedClip> out;
    std::copy_if(of.begin(), of.end(), std::back_inserter(out),
                 [&](const TrimmedClip& c) { return c.cls == cls; });
    return out;
  }
};

/// group_of — "v_Archery_g08_c01" → "g08", as UCF101 names them; any other clip is a group of its
/// own.
inline std::string group_of(const std::string& name) {
  for (std::size_t at = name.find("_g"); at != std::string::npos; at = name.find("_g", at + 1)) {
    const std::size_t end = name.find_first_not_of("0123456789", at + 2);
    if (end != std::string::npos && end > at + 2 && name[end] == '_')
      return name.substr(at + 1, end - at - 1);
  }
  return name;
}

namespace detail {

inline std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
  return first == std::string_view::npos ? "" : std::string(text.substr(first, last - first + 1));
}

/// The "<Class>/<name>" of the lines of a list.
inline std::vector<std::string> read_clip_list(const char* program, const std::string& path) {
  TANDEM_CHECK(io::is_file(path), program, "there is no ", path,
               ": a folder of clips needs its list of training and of test clips");
  const std::string text = io::read_text(path);
  std::vector<std::string> out;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = trimmed(std::string_view(text).substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    if (const std::size_t blank = line.find_last_of(" \t");  // the number of the class
        blank != std::string::npos &&
        line.find_first_not_of("0123456789", blank + 1) == std::string::npos)
      line = trimmed(std::string_view(line).substr(0, blank));
    const std::size_t slash = line.find('/'), dot = line.rfind('.');
    TANDEM_CHECK(slash != std::string::npos && slash > 0 && slash + 1 < line.size(), program, path,
                 ", line ", number, ": expected <Class>/<clip>, got \"", line, "\"");
    out.push_back(dot != std::string::npos && dot > slash + 1 ? line.substr(0, dot) : line);
  }
  TANDEM_CHECK(!out.empty(), program, path, " names no clip");
  return out;
}

}  // namespace detail

/// The folders of `folder` that hold files, in order.
inline std::vector<std::string> class_folders(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory() && !std::filesystem::is_empty(entry.path()))
      out.push_back(entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// Reads a folder of clips and its lists number `split`. `wanted` names the classes and their
/// order; empty: every folder with files, by the alphabet. Listed clips that are not there, and
/// clips that are in no list, are left out. Errors, by name: no folder, no list, a line that is no
/// clip, a class without a folder, one clip in two files, a group in both lists, no clip at all in
/// a list.
inline TrimmedClips read_trimmed_clips(const char* program, const std::string& folder,
                                       const std::string& split,
                                       const std::vector<std::string>& wanted) {
  TANDEM_CHECK(io::is_directory(folder), program, "there is no folder ", folder);
  const std::vector<std::string> there = class_folders(folder);
  TANDEM_CHECK(!there.empty(), program, folder, " has no folder with clips: expected ", folder,
               "/<Class>/<clip>.mp4");
  TrimmedClips out;
  out.classes = wanted.empty() ? there : wanted;
  std::map<std::string, TrimmedClip> known;  // by "<Class>/<name>"
  for (std::size_t c = 0; c < out.classes.size(); ++c) {
    const std::string& name = out.classes[c];
    TANDEM_CHECK(std::find(there.begin(), there.end(), name) != there.end(), program,
                 "there is no class ", name, " in ", folder, did_you_mean(name, there));
    TANDEM_CHECK(std::count(out.classes.begin(), out.classes.end(), name) == 1, program, "class ",
                 name, " is named twice");
    for (const auto& entry : std::filesystem::directory_iterator(io::join_path(folder, name))) {
      if (!entry.is_regular_file()) continue;
      const std::string stem = entry.path().stem().string(), path = entry.path().string();
      const auto [at, is_new] = known.try_emplace(
          name + "/" + stem,
          TrimmedClip{
              .path = path, .name = stem, .group = group_of(stem), .cls = static_cast<int>(c)});
      TANDEM_CHECK(is_new, program, at->second.path, " and ", path, " are two files of one clip");
    }
  }
  std::map<std::pair<int, std::string>, std::string> groups;  // of training → a clip
  for (const bool training : {true, false}) {
    const std::string list =
        io::join_path(folder, concat(training ? "trainlist" : "testlist", split, ".txt"));
    std::vector<TrimmedClip>& into = training ? out.train : out.test;
    std::vector<std::string> names = detail::read_clip_list(program, list);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const std::string& name : names) {
      const auto found = known.find(name);
      if (found == known.end()) continue;
      const TrimmedClip& clip = found->second;
      const auto place = std::make_pair(clip.cls, clip.group);
      if (training) {
        groups.emplace(place, clip.name);
      } else if (const auto other = groups.find(place); other != groups.end()) {
        fail(program, list, " has ", clip.name, ", and ", other->second,
             " of the same group is for training: a group is for one of the two");
      }
      into.push_back(clip);
    }
    TANDEM_CHECK(!into.empty(), program, "no clip that ", list, " names is in ", folder);
    std::stable_sort(into.begin(), into.end(),
                     [](const TrimmedClip& a, const TrimmedClip& b) { return a.cls < b.cls; });
  }
  return out;
}

/// Refuses a class that has no clip for training or none for testing.
inline void require_clips(const char* program, const TrimmedClips& clips) {
  for (std::size_t c = 0; c < clips.classes.size(); ++c) {
    for (const bool training : {true, false}) {
      TANDEM_CHECK(
          !TrimmedClips::of_class(training ? clips.train : clips.test, static_cast<int>(c)).empty(),
          program, "class ", clips.classes[c], " has no clip for ",
          training ? "training" : "testing", " in the lists");
    }
  }
}

}  // namespace miniature
