#pragma once
/// The folder that a program writes into: made where it is missing, and locked while it works
/// there.

#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/io/lock.hpp"

namespace cli {

/// Makes a folder with its missing parents and locks it. What a refused run made and left empty
/// goes away with the object, so that a mistake in the command leaves nothing behind.
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

/// A folder of the system's temporary ones, which goes with all that is in it when the object does.
class ScratchFolder {
 public:
  /// Error: it cannot be made.
  explicit ScratchFolder(std::string_view program) {
    path_ = (std::filesystem::temp_directory_path() / program).string() + "-XXXXXX";
    TANDEM_CHECK(::mkdtemp(path_.data()) != nullptr, program, "cannot make a temporary folder ",
                 path_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace cli
