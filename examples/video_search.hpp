#pragma once
/// Which files are videos, and what they are called.

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "feature_outputs.hpp"
#include "tandem/io/file_record.hpp"

namespace videos {

namespace fs = std::filesystem;
using namespace tandem;

struct Found {
  std::string id,
      path = {};  ///< the file's name without its extension, control characters written out
};

/// By its extension.
inline bool looks_like_video(const fs::path& path) {
  static const char* const extensions[] = {".mp4",  ".m4v", ".mov",  ".avi", ".mkv",
                                           ".webm", ".mpg", ".mpeg", ".wmv", ".flv",
                                           ".ts",   ".3gp", ".ogv",  ".mts", ".m2ts"};
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(std::begin(extensions), std::end(extensions), extension) != std::end(extensions);
}

/// Collects videos. A file or folder that is met on two ways counts once;
/// links are followed, hidden files and folders left out. What cannot be read is a failure of its
/// own and stops nothing.
class Search {
 public:
  Search(bool recursive, outputs::Failures& failures)
      : recursive_(recursive), failures_(failures) {}

  void add(const fs::path& path) {
    if (is_new(path, files_))
      videos_.push_back({.id = io::safe_name(path.stem().string()), .path = path.string()});
  }
  void look_into(const fs::path& folder) {
    if (!is_new(folder, folders_)) return;
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      const fs::path& path = entries->path();
      // A link that leads nowhere or in a circle is judged as the video that it claims to be.
      std::error_code unknown;
      const bool is_folder = fs::is_directory(path, unknown);
      if (outputs::is_hidden(path)) {
        if (!is_folder && looks_like_video(path)) ++hidden_;
      } else if (is_folder) {
        if (recursive_) look_into(path);
      } else if (looks_like_video(path)) {
        add(path);
      }
    }
    if (error)
      failures_.add(folder.string(), concat("the folder cannot be read: ", error.message()));
  }

  std::vector<Found>& videos() { return videos_; }
  std::size_t hidden() const { return hidden_; }

 private:
  using Identity = std::set<std::pair<dev_t, ino_t>>;
  static bool is_new(const fs::path& path, Identity& known) {
    struct stat info {};
    return ::stat(path.c_str(), &info) != 0 || known.insert({info.st_dev, info.st_ino}).second;
  }

  bool recursive_;
  outputs::Failures& failures_;
  std::vector<Found> videos_;
  Identity files_, folders_;
  std::size_t hidden_ = 0;
};

/// The videos that `inputs` (files, and folders of them) name, by their ids. Errors: there is none;
/// two of one id.
inline std::vector<Found> find(const std::vector<std::string>& inputs, bool recursive,
                               outputs::Failures& failures, const char* program) {
  Search search(recursive, failures);
  std::string empty;
  for (const std::string& input : inputs) {
    std::error_code unknown;
    if (!fs::is_directory(input, unknown)) {
      search.add(input);
      continue;
    }
    const std::size_t before = search.videos().size(), failed = failures.size();
    search.look_into(input);
    if (search.videos().size() > before || failures.size() > failed) continue;
    empty = concat("the folder holds no video",
                   recursive ? "" : "; --recursive looks into the folders below it");
    failures.add(input, empty);
  }
  if (search.hidden() > 0) std::printf("%zu hidden file(s) left out\n", search.hidden());
  std::vector<Found>& videos = search.videos();
  TANDEM_CHECK(!videos.empty(), program, inputs.front(), ": ", failures.last());
  std::sort(videos.begin(), videos.end(), [](const Found& a, const Found& b) {
    return a.id != b.id ? a.id < b.id : a.path < b.path;
  });
  for (std::size_t i = 1; i < videos.size(); ++i) {
    TANDEM_CHECK(videos[i].id != videos[i - 1].id, program, videos[i - 1].path, " and ",
                 videos[i].path, " would both become ", videos[i].id,
                 "; give them different names, or take them from different folders");
  }
  return std::move(videos);
}

}  // namespace videos
