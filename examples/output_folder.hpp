#pragma once
/// The folder that a program writes into: made where it is missing, and locked while it works there.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/io/lock.hpp"

namespace cli {

/// Makes a folder with its missing parents and locks it. What a refused run made and left empty goes
/// away with the object, so that a mistake in the command leaves nothing behind.
///
///     const cli::OutputFolder folder(o.out, "train_dcl");
///     folder.lock().check();
///
/// Errors: those of make_directories and FolderLock.
class OutputFolder {
 public:
  OutputFolder(const std::string& path, std::string_view program) {
    std::vector<std::string> missing;
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      if (!part.empty() && !tandem::io::is_directory(part)) missing.push_back(part);
      if (end == std::string::npos) break;
    }
    made_.folders = std::move(missing);
    tandem::io::make_directories(path);
    lock_.emplace(path, program);
  }

  const tandem::io::FolderLock& lock() const { return *lock_; }

 private:
  /// Goes after the lock, whose file lies in the folder.
  struct Made {
    std::vector<std::string> folders;  ///< from the outermost
    ~Made() {
      while (!folders.empty() && ::rmdir(folders.back().c_str()) == 0) folders.pop_back();
    }
  };
  Made made_;
  std::optional<tandem::io::FolderLock> lock_;
};

}  // namespace cli
