#pragma once
/// A folder that belongs to one process for as long as it writes there.

#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include "tandem/io/file.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// Holds a folder, by flock on the file `.lock` in it, until the object goes away. The system lets
/// go of it when the process ends, in whatever way: what a killed process leaves behind never
/// blocks.
///
///     const io::FolderLock lock("run1", "train_dcl");
///
/// Errors: another process holds it, which is named with its number, program and machine; the
/// folder is missing or cannot be written; a file system without locks.
class FolderLock {
 public:
  /// The other process is refused, or waited for.
  enum class Busy { refuse, wait };

  FolderLock(const std::string& folder, std::string_view program, Busy busy = Busy::refuse)
      : folder_(folder), path_(join_path(folder, ".lock")) {
    for (;;) {
      fd_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
      if (fd_.get() < 0) {
        fail("lock", folder, ": cannot write into the folder: ", detail::system_message(errno));
      }
      while (::flock(fd_.get(), busy == Busy::wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) refuse();
        fail("lock", folder, ": cannot lock the folder: ", detail::system_message(errno));
      }
      if (holds()) break;  // else the last owner removed the file between our open and our lock
    }
    char host[256] = "";
    if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    char when[64] = "";
    const std::time_t now = std::time(nullptr);
    struct tm parts {};
    if (::localtime_r(&now, &parts) != nullptr)
      std::strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    const std::string text =
        concat(program, ", process ", ::getpid(), " on ", host, " since ", when, "\n");
    if (::ftruncate(fd_.get(), 0) != 0 ||
        ::pwrite(fd_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      const int code = errno;
      ::unlink(path_.c_str());
      fail("lock", folder, ": cannot write into the folder: ", detail::system_message(code));
    }
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (holds()) ::unlink(path_.c_str());  // before the lock goes
  }

  const std::string& folder() const { return folder_; }

  /// Refuses when the folder was removed or replaced under the process, which would write into
  /// nowhere.
  void check() const {
    TANDEM_CHECK(holds(), "lock", folder_,
                 ": the folder, or the file .lock in it, was removed or replaced while ",
                 "this run was writing there");
  }

 private:
  /// The name still means the file that we hold.
  bool holds() const { return detail::is_named(fd_.get(), path_); }

  [[noreturn]] void refuse() const {
    std::string other;
    for (int attempt = 0; attempt < 50 && other.empty();
         ++attempt) {  // it may not have written its name yet
      if (attempt > 0) ::usleep(2000);
      char text[512];
      const ssize_t size = ::pread(fd_.get(), text, sizeof text, 0);
      if (size > 0 && text[size - 1] == '\n')
        other.assign(text, static_cast<std::size_t>(size - 1));
    }
    for (char& c : other) c = static_cast<unsigned char>(c) < 32 ? '?' : c;
    fail("lock", folder_, " is in use by ", other.empty() ? "another process" : other,
         ": wait until that ends, or name another folder");
  }

  std::string folder_, path_;
  detail::Descriptor fd_{-1};
};

}  // namespace io
TANDEM_NAMESPACE_END
