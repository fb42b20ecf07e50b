#pragma once
/// What extract_features and clip_features share: which files were made of which, what of it still
/// holds, and the list of what failed. One source (a video, a folder of frames) that fails does not
/// stop the others.

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common_cli.hpp"
#include "tandem/io/checksum.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/tensor/finite.hpp"

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

// ---------------------------------------------------------------- names

/// Hidden by convention: .DS_Store, and ._a.mp4, where macOS keeps what other file systems cannot.
inline bool is_hidden(const std::filesystem::path& path) {
  return path.filename().string().starts_with('.');
}

/// A file's name as the name of outputs and in JSON: bytes that are no UTF-8, and control
/// characters, become %E9.
inline std::string safe_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    std::uint32_t code = 0;
    const std::size_t length = io::decode_utf8(name, code);
    if (length > 0 && code >= 0x20 && (code < 0x7F || code >= 0xA0)) {
      out += name.substr(0, length);
      name.remove_prefix(length);
      continue;
    }
    const std::size_t bytes = std::max<std::size_t>(length, 1);
    for (const char c : name.substr(0, bytes)) {
      const unsigned byte = static_cast<unsigned char>(c);
      out += '%';
      out += "0123456789ABCDEF"[byte >> 4];
      out += "0123456789ABCDEF"[byte & 15];
    }
    name.remove_prefix(bytes);
  }
  return out;
}

// ---------------------------------------------------------------- what a file was

/// Number of bytes and the times of the last change (of the content, and of the file as such, which
/// nobody can set back) of some files together: equal means unchanged, at the price of a look into
/// the folder.
struct Stamp {
  std::uint64_t bytes = 0;
  std::string text;
  bool operator==(const Stamp&) const = default;
};

inline Stamp stamp_of(const std::vector<std::string>& paths) {
  Stamp out;
  std::uint64_t sum = 0;
  for (const std::string& path : paths) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
      fail("open", path, ": cannot be opened: ", io::detail::system_message(errno));
    TANDEM_CHECK(S_ISREG(info.st_mode), "open", path, ": expected a regular file, this is ",
                 io::detail::kind_name(info.st_mode));
    out.bytes += static_cast<std::uint64_t>(info.st_size);
    sum = io::checksum(
        concat(std::int64_t{info.st_size}, " ", std::int64_t{info.st_mtim.tv_sec}, " ",
               std::int64_t{info.st_mtim.tv_nsec}, " ", std::int64_t{info.st_ctim.tv_sec}, " ",
               std::int64_t{info.st_ctim.tv_nsec}),
        sum);
  }
  out.text = io::hexadecimal(sum);
  return out;
}

/// Of the bytes; of several files (the frames of a folder) with their names. Reads everything.
inline std::string content_of(const std::vector<std::string>& paths) {
  std::uint64_t sum = 0;
  for (const std::string& path : paths) {
    if (paths.size() > 1) sum = io::checksum(std::filesystem::path(path).filename().string(), sum);
    const auto file = io::MappedFile::open(path);
    sum = io::checksum(file->text(), sum);
  }
  return io::hexadecimal(sum);
}

/// {"bytes", "stamp", "checksum"}: what is written down about files, to know them again.
inline io::Json record_of(const std::vector<std::string>& paths) {
  const Stamp stamp = stamp_of(paths);
  io::Json out = io::Json::object();
  out["bytes"] = stamp.bytes;
  out["stamp"] = stamp.text;
  out["checksum"] = content_of(paths);
  return out;
}

enum class Same {
  yes,
  touched,  ///< the same content, but other times: moved, copied
  no,
};

/// Whether files are those of a record. Reads them only when their times differ. Errors: files that
/// cannot be read.
inline Same compare(const io::JsonRef& record, const std::vector<std::string>& paths) {
  const Stamp now = stamp_of(paths);
  if (static_cast<std::uint64_t>(record.at("bytes").integer(0)) != now.bytes) return Same::no;
  if (record.at("stamp").string() == now.text) return Same::yes;
  return record.at("checksum").string() == content_of(paths) ? Same::touched : Same::no;
}

// ---------------------------------------------------------------- arrays

/// The first row with a value that is not finite, or -1.
inline std::int64_t bad_row(const Tensor<float>& rows) {
  const Tensor<float> dense = rows.contiguous();
  const std::int64_t bad = find_not_finite(dense.data(), dense.numel());
  return bad < 0 ? -1 : bad / dense.size(1);
}

inline void check_finite(const std::string& name, const Tensor<float>& rows) {
  const std::int64_t row = bad_row(rows);
  TANDEM_CHECK(row < 0, "extract", "the ", name,
               " rows hold values that are not finite, first in row ", row, " of ", rows.size(0),
               "; nothing was saved: are the weights whole?");
}

/// An array of a record that an earlier version left without one: (rows, columns), finite.
inline bool plain_array_is_good(const std::string& path, std::int64_t rows, std::int64_t columns) {
  try {
    const io::Array array = io::load_npy(path);
    if (array.rank() != 2 || array.shape[0] != rows) return false;
    if (array.shape[1] != columns && array.shape[1] != 2 * columns) return false;
    return bad_row(array.tensor<float>()) < 0;
  } catch (const std::exception&) {
    return false;
  }
}

/// Refuses now what saving would refuse after hours: no permission, a full or read-only disk, a
/// name that is too long.
inline void check_writable(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) io::make_directories(folder);
  const io::AtomicFile probe(path);  // never committed: nothing is replaced
}

/// A document of ours, if it is there and whole; `why` says what is wrong with one that is not.
inline std::optional<io::JsonDocument> load_record(const std::string& path, std::string& why) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  try {
    auto document = io::JsonDocument::load(path);
    document.root().members();
    return document;
  } catch (const std::exception& error) {
    why = error.what();
    return std::nullopt;
  }
}

}  // namespace outputs
