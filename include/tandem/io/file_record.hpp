#pragma once
/// What is written down about files, to know them again: of what something was made, and whether it
/// still is what was written.
///
///     const io::Json record = io::record_of({"a.mp4"});   // bytes, stamp, checksum
///     const io::JsonDocument read("record.json", record);
///     io::compare_record(read.root(), {"a.mp4"}) == io::Same::yes;   // → true

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/io/checksum.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/utf8.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// A file's name as the name of outputs and in JSON: bytes that are no UTF-8, and control
/// characters, become %E9.
inline std::string safe_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    std::uint32_t code = 0;
    const std::size_t length = decode_utf8(name, code);
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

/// Number of bytes and the times of the last change (of the content, and of the file as such, which
/// nobody can set back) of some files together: equal means unchanged, at the price of a look into
/// the folder.
struct FileStamp {
  std::uint64_t bytes = 0;
  std::string text;  ///< a checksum of sizes and times
  bool operator==(const FileStamp&) const = default;
};

/// The stamp of these files. Errors: one is missing or no regular file.
inline FileStamp stamp_of(const std::vector<std::string>& paths) {
  FileStamp out;
  std::uint64_t sum = 0;
  for (const std::string& path : paths) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
      fail("open", path, ": cannot be opened: ", detail::system_message(errno));
    TANDEM_CHECK(S_ISREG(info.st_mode), "open", path, ": expected a regular file, this is ",
                 detail::kind_name(info.st_mode));
    out.bytes += static_cast<std::uint64_t>(info.st_size);
    sum =
        checksum(concat(std::int64_t{info.st_size}, " ", std::int64_t{info.st_mtim.tv_sec}, " ",
                        std::int64_t{info.st_mtim.tv_nsec}, " ", std::int64_t{info.st_ctim.tv_sec},
                        " ", std::int64_t{info.st_ctim.tv_nsec}),
                 sum);
  }
  out.text = hexadecimal(sum);
  return out;
}

/// Of the bytes; of several files (the frames of a folder) with their names. Reads everything.
inline std::string content_of(const std::vector<std::string>& paths) {
  std::uint64_t sum = 0;
  for (const std::string& path : paths) {
    if (paths.size() > 1) sum = checksum(std::filesystem::path(path).filename().string(), sum);
    const auto file = MappedFile::open(path);
    sum = checksum(file->text(), sum);
  }
  return hexadecimal(sum);
}

/// {"bytes", "stamp", "checksum"}: what is written down about files, to know them again.
inline Json record_of(const std::vector<std::string>& paths) {
  const FileStamp stamp = stamp_of(paths);
  Json out = Json::object();
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
inline Same compare_record(const JsonRef& record, const std::vector<std::string>& paths) {
  const FileStamp now = stamp_of(paths);
  if (static_cast<std::uint64_t>(record.at("bytes").integer(0)) != now.bytes) return Same::no;
  if (record.at("stamp").string() == now.text) return Same::yes;
  return record.at("checksum").string() == content_of(paths) ? Same::touched : Same::no;
}

/// Refuses now what saving would refuse after hours: no permission, a full or read-only disk, a
/// name that is too long.
inline void check_writable(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) make_directories(folder);
  const AtomicFile probe(path);  // never committed: nothing is replaced
}

/// A document of ours, if it is there and whole; `why` says what is wrong with one that is not.
inline std::optional<JsonDocument> load_record(const std::string& path, std::string& why) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  try {
    auto document = JsonDocument::load(path);
    document.root().members();
    return document;
  } catch (const std::exception& error) {
    why = error.what();
    return std::nullopt;
  }
}

}  // namespace io
TANDEM_NAMESPACE_END
