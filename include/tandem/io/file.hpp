#pragma once
/// Files: read through a private memory map, written atomically.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "tandem/io/mapped_ranges.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/storage.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

namespace detail {

/// Whether a path still names the open file, which nobody has removed or replaced.
inline bool is_named(int fd, const std::string& path) {
  struct stat ours {
  }, named{};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  /// Closes now and takes over `fd`; false when the close reports a write error.
  bool reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    return old < 0 || ::close(old) == 0;
  }

 private:
  int fd_;
};

inline std::string system_message(int code) { return std::strerror(code); }

inline const char* kind_name(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "not a regular file";
}

}  // namespace detail

/// True when the path names a regular file (links are followed).
inline bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

/// True when the path names a directory (links are followed).
inline bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// Creates the directory and its missing parents; an existing directory is fine.
inline void make_directories(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (!part.empty() && ::mkdir(part.c_str(), 0777) != 0) {
      // Of mkdir: on a read-only disk, that nothing is there yet is not the reason
      const int code = errno;
      if (!is_directory(part)) {
        fail("make_directories", part,
             ": cannot create the directory: ", detail::system_message(code));
      }
    }
    if (end == std::string::npos) return;
  }
}

/// "a" + "b" → "a/b"; an empty folder leaves the name alone.
inline std::string join_path(std::string_view folder, std::string_view name) {
  std::string out(folder);
  if (!out.empty() && out.back() != '/') out += '/';
  return out += name;
}

/// A whole regular file mapped into memory, for reading.
///
/// Arrays and tensors may borrow the mapping: it lives as long as its last owner. A file that
/// another program *shortens in place* while it is mapped gives SIGBUS, as with every memory map:
/// name_shortened_files makes a sentence of it that names the file. AtomicFile replaces files and
/// never shortens them, so files written by this library are safe to rewrite while they are being
/// read.
///
///     auto file = io::MappedFile::open("weights.safetensors");   // Ref<MappedFile>
///     file->data(), file->size(), file->path();
///
/// Errors: a missing or unreadable file, a directory, pipe, socket or device, an empty file.
class MappedFile final : public PageLender {
 public:
  static Ref<MappedFile> open(const std::string& path) { return Ref(new MappedFile(path)); }
  ~MappedFile() override {
    if (size_ == 0) return;
    detail::mapped_ranges.remove(range_);
    ::munmap(data_, size_);
  }

  const unsigned char* data() const { return static_cast<const unsigned char*>(data_); }
  std::size_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// The bytes as characters.
  std::string_view text() const { return {static_cast<const char*>(data_), size_}; }
  /// Unmaps whole pages inside [data, data + bytes) from this process; the next read maps them
  /// again.
  void give_back_pages(const void* data, std::int64_t bytes) const override {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
    const auto end =
        (reinterpret_cast<std::uintptr_t>(data) + static_cast<std::uintptr_t>(bytes)) / page * page;
    // Read-only and private: the pages are the file's own, so nothing can be lost.
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }

 private:
  explicit MappedFile(const std::string& path) : path_(path) {
    // O_NONBLOCK: opening a pipe without a writer must not wait; it has no effect on files.
    detail::Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.get() < 0) {
      fail("open", path, ": cannot open the file: ", detail::system_message(errno));
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) {
      fail("open", path, ": cannot read the file's size: ", detail::system_message(errno));
    }
    TANDEM_CHECK(S_ISREG(info.st_mode), "open", path, ": expected a regular file, this is ",
                 detail::kind_name(info.st_mode));
    TANDEM_CHECK(info.st_size > 0, "open", path, ": the file is empty");
    const std::size_t size = static_cast<std::size_t>(info.st_size);
    data_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (data_ == MAP_FAILED) {
      fail("open", path, ": cannot map ", size, " bytes: ", detail::system_message(errno));
    }
    size_ = size;
    range_.begin = data();
    range_.size = size;
    range_.path = path_.c_str();
    range_.device = info.st_dev;
    range_.inode = info.st_ino;
    detail::mapped_ranges.add(range_);
  }

  std::string path_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
  detail::MappedRange range_;
};

/// Bytes in memory of their own that arrays may share: an inflated zip entry, a decoded string.
class OwnedBytes final : public RefCounted {
 public:
  explicit OwnedBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  /// The bytes, and how many there are.
  const unsigned char* data() const {
    return reinterpret_cast<const unsigned char*>(bytes_.data());
  }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::string bytes_;
};

/// Reads a small text file whole; an empty file gives an empty string. `max_bytes` is a promise of
/// the caller about what such a file can be, so that a wrong path cannot fill the memory.
inline std::string read_text(const std::string& path,
                             std::size_t max_bytes = std::size_t{1} << 30) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0) return {};
  const auto file = MappedFile::open(path);
  TANDEM_CHECK(file->size() <= max_bytes, "read_text", path, ": the file has ", file->size(),
               " bytes, at most ", max_bytes, " are expected here");
  return std::string(file->text());
}

/// Throws unless a file of this name could be made or replaced now: its folder is there and can be
/// written to, and nothing else has the name. To ask before the work, not after it.
inline void check_output_file(const char* op, const std::string& path) {
  struct stat info {};
  TANDEM_CHECK(::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode), op, path,
               ": expected a regular file or a new name, this is ",
               detail::kind_name(info.st_mode));
  const std::size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash > 0 ? slash : 1);
  TANDEM_CHECK(::stat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode), op, path,
               ": the folder ", folder, " does not exist");
  TANDEM_CHECK(::access(folder.c_str(), W_OK) == 0, op, path, ": the folder ", folder,
               " cannot be written to");
}

/// Replaces a file in one step: bytes go to a temporary file in the same folder, `commit` flushes
/// it to the disk and renames it over the destination, so a reader (or a crash, or a full disk)
/// sees the old file or the new one, never a half. Without `commit` the temporary file is removed.
///
///     io::AtomicFile out("results.json");
///     out.write(text);
///     out.commit();
///
/// A symbolic link stays a link: the file it points to is replaced. The permissions of an existing
/// destination are kept.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path) : path_(path), target_(resolve(path)) {
    struct stat info {};
    mode_t mode = 0666;
    bool keep_mode = false;
    if (::stat(target_.c_str(), &info) == 0) {
      TANDEM_CHECK(S_ISREG(info.st_mode), "write", path_,
                   ": expected a regular file or a new name, this is ",
                   detail::kind_name(info.st_mode));
      mode = info.st_mode & 07777;
      keep_mode = true;
    }
    // A fixed name, so that what a killed process left behind is used again and never piles up. The
    // lock keeps two writers apart: the second one takes the next name.
    for (int attempt = 0; temporary_.empty(); ++attempt) {
      std::string name = concat(target_, ".tmp", attempt);
      fd_.reset(::open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
      if (fd_.get() < 0 || attempt == 100) {
        check_output_file("write", target_);
        fail("write", path_,
             ": cannot create a temporary file beside it: ", detail::system_message(errno));
      }
      if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) continue;
      // The name may have been renamed or removed by its last owner before we got the lock.
      struct stat ours {
      }, named{};
      if (::fstat(fd_.get(), &ours) == 0 && ::lstat(name.c_str(), &named) == 0 &&
          ours.st_ino == named.st_ino && ours.st_dev == named.st_dev && S_ISREG(ours.st_mode) &&
          ::ftruncate(fd_.get(), 0) == 0) {
        temporary_ = std::move(name);
      }
    }
    if (keep_mode && ::fchmod(fd_.get(), mode) != 0) {
      const int code = errno;
      discard();
      fail("write", path_, ": cannot keep the file's permissions: ", detail::system_message(code));
    }
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { discard(); }

  /// Appends bytes. An error (disk full, quota) removes the temporary file and throws.
  void write(const void* data, std::size_t size) {
    TANDEM_CHECK(!temporary_.empty(), "write", path_, ": the file is already closed");
    const char* bytes = static_cast<const char*>(data);
    written_ += size;
    if (buffer_.size() + size <= kBuffer) {
      buffer_.append(bytes, size);
      return;
    }
    flush();
    if (size >= kBuffer) {
      write_now(bytes, size);
    } else {
      buffer_.assign(bytes, size);
    }
  }
  void write(std::string_view text) { write(text.data(), text.size()); }

  /// Bytes given to `write` so far: the offset of the next byte in the file.
  std::uint64_t position() const { return written_; }

  /// Replaces bytes that were given to `write` before, for formats that note a size at their
  /// beginning. Errors: bytes beyond position().
  void overwrite(std::uint64_t at, const void* data, std::size_t size) {
    TANDEM_CHECK(!temporary_.empty(), "write", path_, ": the file is already closed");
    TANDEM_CHECK(at <= written_ && size <= written_ - at, "write", path_, ": bytes ", at, " to ",
                 at + size, " were to be replaced, ", written_, " have been written");
    flush();
    const char* bytes = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t done = ::pwrite(fd_.get(), bytes, size, static_cast<off_t>(at));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) give_up("cannot write");
      bytes += done;
      at += static_cast<std::uint64_t>(done);
      size -= static_cast<std::size_t>(done);
    }
  }

  /// Flushes to the disk and puts the file in place.
  void commit() {
    TANDEM_CHECK(!temporary_.empty(), "write", path_, ": the file is already closed");
    flush();
    if (::fsync(fd_.get()) != 0) give_up("cannot flush to the disk");
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) give_up("cannot put it in place");
    temporary_.clear();
    fd_.reset();
    // The rename itself must survive a power cut. Some file systems cannot flush a folder; the new
    // file is in place all the same, so that is not an error.
    const std::size_t slash = target_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : target_.substr(0, slash + 1);
    detail::Descriptor dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir.get() >= 0) ::fsync(dir.get());
  }

 private:
  static constexpr std::size_t kBuffer = std::size_t{1} << 18;

  static std::string resolve(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
    char* real = ::realpath(path.c_str(), nullptr);
    if (real == nullptr) return path;  // a dangling link is replaced by the file
    std::string out(real);
    std::free(real);
    return out;
  }

  void flush() {
    write_now(buffer_.data(), buffer_.size());
    buffer_.clear();
  }

  void write_now(const char* bytes, std::size_t size) {
    while (size > 0) {
      const std::size_t chunk = size < (std::size_t{1} << 30) ? size : (std::size_t{1} << 30);
      const ssize_t done = ::write(fd_.get(), bytes, chunk);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) give_up("cannot write");
      bytes += done;
      size -= static_cast<std::size_t>(done);
    }
  }

  [[noreturn]] void give_up(const char* what) {
    const int code = errno;
    discard();
    fail("write", path_, ": ", what, " after ", written_, " bytes: ", detail::system_message(code),
         "; nothing was replaced");
  }

  void discard() noexcept {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());  // before the lock goes
    fd_.reset();
    temporary_.clear();
    buffer_.clear();
  }

  std::string path_;       // as the caller spelled it, for messages
  std::string target_;     // with a symbolic link resolved
  std::string temporary_;  // empty once committed or removed
  std::string buffer_;
  std::uint64_t written_ = 0;
  detail::Descriptor fd_{-1};
};

/// Writes a text file in one step.
inline void write_text(const std::string& path, std::string_view text) {
  AtomicFile out(path);
  out.write(text);
  out.commit();
}

}  // namespace io
TANDEM_NAMESPACE_END
