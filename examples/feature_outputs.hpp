#pragma once
/// What extract_features and clip_features share: the list of what failed. One source (a video, a
/// folder of frames) that fails does not stop the others.

#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "common_cli.hpp"

namespace outputs {

using namespace tandem;

/// Exit status of a run in which some sources failed.
constexpr int some_failed = 3;

/// The sources that failed, and why.
class Failures {
 public:
  void add(std::string name, std::string message) {
    all_.push_back({std::move(name), std::move(message)});
  }
  std::size_t size() const { return all_.size(); }
  bool empty() const { return all_.empty(); }
  template <class Function>
  void each(const Function& function) const {
    for (const Failure& f : all_) function(f.name, f.message);
  }
  /// Why the last one failed.
  std::string last() const { return all_.empty() ? "" : all_.back().message; }

  /// The last lines of a run. Returns its exit status.
  int print(std::size_t of, const char* noun) const {
    if (all_.empty()) return 0;
    std::fflush(stdout);
    std::fprintf(stderr, "%zu of %zu %s failed:\n", all_.size(), of, noun);
    for (const Failure& f : all_) {
      std::fprintf(stderr, "  %s: %s\n", cli::printable(f.name).c_str(),
                   cli::printable(f.message).c_str());
    }
    return some_failed;
  }

 private:
  struct Failure {
    std::string name, message;
  };
  std::vector<Failure> all_;
};

/// For CLI11: something of that name is there. A link that leads nowhere is one source that fails,
/// not a wrong command.
inline std::string existing_entry(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? "" : concat("Path does not exist: ", path);
}

/// Hidden by convention: .DS_Store, and ._a.mp4, where macOS keeps what other file systems cannot.
inline bool is_hidden(const std::filesystem::path& path) {
  return path.filename().string().starts_with('.');
}

}  // namespace outputs
