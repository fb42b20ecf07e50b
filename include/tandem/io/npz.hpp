#pragma once
/// The .npz format of NumPy: a zip archive of npy files. Reads stored and compressed entries (zip64
/// included) and writes stored ones. Format: PKWARE APPNOTE 6.3, sections 4.3 to 4.5.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tandem/io/inflate.hpp"
#include "tandem/io/npy.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// An open npz file. Stored entries are views into the mapped file, compressed ones are inflated
/// when they are asked for; the CRC of an entry is checked each time it is.
///
///     const auto npz = io::Npz::open("golden.npz");
///     Tensor<double> x = npz.at("x").tensor<double>();
///
/// Errors: no zip archive, an archive in several parts, encrypted entries, unknown compression,
/// sizes or offsets past the end of the file, entries that overlap or appear twice, a wrong CRC.
class Npz {
 public:
  static Npz open(const std::string& path) { return Npz(MappedFile::open(path)); }

  /// The path that was opened.
  const std::string& path() const { return file_->path(); }
  /// The names in the order of the archive, without ".npy".
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const Entry& entry : entries_) out.push_back(entry.name);
    return out;
  }
  /// Whether there is an entry of that name.
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// The array of a name.
  Array at(std::string_view name) const {
    const Entry* entry = find(name);
    TANDEM_CHECK(entry != nullptr, "npz", path(), ": there is no array \"", name, "\"");
    const std::string label = concat(path(), ": ", entry->name);
    const std::string_view raw = file_->text().substr(entry->data, entry->stored_size);
    if (entry->method == kStored) {
      check_crc(*entry, raw);
      Array array = parse_npy(file_->data() + entry->data, raw.size(), label, file_);
      array.data_offset += entry->data;
      return array;
    }
    auto bytes = make_ref<OwnedBytes>(inflate(raw, entry->size, label));
    const unsigned char* data = bytes->data();
    const std::size_t size = bytes->size();
    check_crc(*entry, {reinterpret_cast<const char*>(data), size});
    return parse_npy(data, size, label, std::move(bytes));
  }

 private:
  static constexpr std::uint64_t kStored = 0, kDeflated = 8;

  struct Entry {
    std::string name;
    std::uint64_t method = 0, crc = 0, stored_size = 0, size = 0, header = 0, data = 0;
  };

  explicit Npz(Ref<MappedFile> file) : file_(std::move(file)) {
    read_directory();
    check_overlaps();
  }

  const Entry* find(std::string_view name) const {
    for (const Entry& entry : entries_) {
      if (entry.name == name) return &entry;
    }
    return nullptr;
  }

  void check_crc(const Entry& entry, std::string_view bytes) const {
    TANDEM_CHECK(crc32(bytes) == entry.crc, "npz", path(), ": ", entry.name,
                 ": the CRC of the data is wrong, the file is damaged");
  }

  template <class... Pieces>
  [[noreturn]] void error(const Pieces&... pieces) const {
    fail("npz", path(), ": ", pieces...);
  }
  std::uint64_t number(std::uint64_t offset, int bytes) const {
    const std::uint64_t size = file_->size();
    if (offset > size || static_cast<std::uint64_t>(bytes) > size - offset) {
      error("the archive ends inside a header (", bytes, " bytes at offset ", offset, ")");
    }
    std::uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
      value = value << 8 | file_->data()[offset + static_cast<unsigned>(i)];
    return value;
  }
  std::string_view text(std::uint64_t offset, std::uint64_t length) const {
    const std::uint64_t size = file_->size();
    if (offset > size || length > size - offset) {
      error("the archive ends inside a name (", length, " bytes at offset ", offset, ")");
    }
    return file_->text().substr(offset, length);
  }

  void read_directory() {
    // The end record is 22 bytes and a comment of up to 65535.
    const std::string_view all = file_->text();
    const std::size_t end = all.rfind("PK\x05\x06");
    if (end == std::string_view::npos || all.size() - end > 22 + 65535) {
      error("this is not an npz file (no end record of a zip archive)",
            all.starts_with("PK") ? "; was it copied whole?" : looks_like(all));
    }
    if (number(end + 4, 2) != 0 || number(end + 6, 2) != 0) error("the archive is split in parts");
    std::uint64_t count = number(end + 10, 2), size = number(end + 12, 4), at = number(end + 16, 4);
    if (end >= 20 && number(end - 20, 4) == 0x07064b50) {
      const std::uint64_t record = number(end - 12, 8);
      if (number(record, 4) != 0x06064b50) error("the zip64 end record is not at offset ", record);
      count = number(record + 32, 8);
      size = number(record + 40, 8);
      at = number(record + 48, 8);
    }
    if (at > end || size > end - at) {
      error("the directory (", size, " bytes at offset ", at, ") runs past the end of the file");
    }
    if (count > size / 46)
      error("the directory of ", size, " bytes cannot hold ", count, " entries");
    const std::uint64_t stop = at + size;
    entries_.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) at = read_entry(at, stop);
    std::vector<std::string_view> names;
    for (const Entry& entry : entries_) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) error("the name \"", *twice, "\" appears twice");
  }

  /// Reads the directory entry at `at` and returns where the next one starts.
  std::uint64_t read_entry(std::uint64_t at, std::uint64_t stop) {
    if (number(at, 4) != 0x02014b50) error("no directory entry at offset ", at);
    const std::uint64_t flags = number(at + 8, 2);
    const std::uint64_t name_size = number(at + 28, 2), extra_size = number(at + 30, 2);
    Entry entry;
    entry.method = number(at + 10, 2);
    entry.crc = number(at + 16, 4);
    entry.stored_size = number(at + 20, 4);
    entry.size = number(at + 24, 4);
    entry.header = number(at + 42, 4);
    entry.name = text(at + 46, name_size);
    const std::string shown = entry.name.substr(0, 80);
    if (entry.name.ends_with(".npy")) entry.name.resize(entry.name.size() - 4);
    const std::uint64_t extra = at + 46 + name_size;
    const std::uint64_t next = extra + extra_size + number(at + 32, 2);
    if (next > stop) error(shown, ": the directory entry runs past the directory");
    read_zip64(entry, extra, extra + extra_size);
    if ((flags & 1) != 0) error(shown, ": the entry is encrypted");
    if (entry.method != kStored && entry.method != kDeflated) {
      error(shown, ": compression method ", entry.method,
            " is not supported (stored and deflate are)");
    }
    if (entry.method == kStored && entry.size != entry.stored_size) {
      error(shown, ": a stored entry with two different sizes");
    }
    if (number(entry.header, 4) != 0x04034b50) error(shown, ": no entry at offset ", entry.header);
    if (number(entry.header + 8, 2) != entry.method) error(shown, ": the two headers disagree");
    entry.data = entry.header + 30 + number(entry.header + 26, 2) + number(entry.header + 28, 2);
    if (entry.data > file_->size() || entry.stored_size > file_->size() - entry.data) {
      error(shown, ": ", entry.stored_size, " bytes at offset ", entry.data,
            " run past the end of the file");
    }
    entries_.push_back(std::move(entry));
    return next;
  }

  /// The zip64 field holds, in this order, those of the three values that are all ones in the
  /// entry.
  void read_zip64(Entry& entry, std::uint64_t at, std::uint64_t stop) const {
    while (at + 4 <= stop) {
      const std::uint64_t id = number(at, 2), length = number(at + 2, 2);
      std::uint64_t field = at + 4;
      at = field + length;
      if (id != 1 || at > stop) continue;
      for (std::uint64_t* value : {&entry.size, &entry.stored_size, &entry.header}) {
        if (*value != 0xFFFFFFFFu) continue;
        if (field + 8 > at) error(entry.name, ": the zip64 field is too short");
        *value = number(field, 8);
        field += 8;
      }
    }
  }

  /// Entries that share their data are how small archives pretend to be huge.
  void check_overlaps() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
    for (const Entry& entry : entries_)
      spans.emplace_back(entry.header, entry.data + entry.stored_size);
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 1; i < spans.size(); ++i) {
      if (spans[i].first < spans[i - 1].second) {
        error("two entries overlap at offset ", spans[i].first);
      }
    }
  }

  Ref<MappedFile> file_;
  std::vector<Entry> entries_;
};

/// Writes an npz file, stored (not compressed), atomically. Same arrays, same bytes: the time stamp
/// is fixed.
///
///     io::NpzWriter out("golden.npz");
///     out.add("x", x);
///     out.commit();
class NpzWriter {
 public:
  explicit NpzWriter(const std::string& path) : path_(path), file_(path) {}

  /// Writes an array at once; x may change afterwards. Errors: an undefined tensor; a full disk.
  template <Element T>
  void add(const std::string& name, const Tensor<T>& x) {
    tandem::detail::require_defined("npz", concat("'", name, "'"), x);
    const Tensor<T> dense = detail::on_host(x);
    const std::vector<std::int64_t> shape(x.shape().begin(), x.shape().end());
    add_parts(name, npy_header(npy_descr<T>(), shape),
              {reinterpret_cast<const char*>(dense.data()),
               static_cast<std::size_t>(dense.numel()) * sizeof(T)});
  }

  /// Writes the directory and puts the file in place.
  void commit() {
    const std::uint64_t start = file_.position();
    file_.write(directory_);
    const std::uint64_t size = file_.position() - start;
    if (start + size >= kMax || count_ >= 0xFFFF) {
      const std::uint64_t record = file_.position();
      file_.write(little(0x06064b50, 4) + little(44, 8) + little(45, 2) + little(45, 2) +
                  little(0, 8) + little(count_, 8) + little(count_, 8) + little(size, 8) +
                  little(start, 8));
      file_.write(little(0x07064b50, 4) + little(0, 4) + little(record, 8) + little(1, 4));
    }
    const std::uint64_t count = count_ < 0xFFFF ? count_ : 0xFFFF;
    file_.write(little(0x06054b50, 4) + little(0, 4) + little(count, 2) + little(count, 2) +
                little(size < kMax ? size : kMax, 4) + little(start < kMax ? start : kMax, 4) +
                little(0, 2));
    file_.commit();
  }

 private:
  static constexpr std::uint64_t kMax = 0xFFFFFFFFu;

  static std::string little(std::uint64_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255u);
    return out;
  }

  void add_parts(const std::string& name, const std::string& header, std::string_view data) {
    const std::string full = name + ".npy";
    TANDEM_CHECK(full.size() < 65536, "npz", path_, ": the name of an array is too long");
    TANDEM_CHECK(std::find(names_.begin(), names_.end(), name) == names_.end(), "npz", path_,
                 ": the name \"", name, "\" was added already");
    names_.push_back(name);
    const std::uint64_t offset = file_.position(), size = header.size() + data.size();
    const bool wide = size >= kMax || offset >= kMax;
    const std::uint64_t crc = crc32(data, crc32(header));
    const std::string sizes =
        wide ? little(kMax, 4) + little(kMax, 4) : little(size, 4) + little(size, 4);
    // version, flags, method, time, date (1980-01-01), CRC, sizes, name length
    const std::string common = little(wide ? 45 : 20, 2) + little(0, 6) + little(0x21, 2) +
                               little(crc, 4) + sizes + little(full.size(), 2);
    const std::string local =
        wide ? little(1, 2) + little(16, 2) + little(size, 8) + little(size, 8) : "";
    file_.write(little(0x04034b50, 4) + common + little(local.size(), 2) + full + local);
    file_.write(header);
    file_.write(data);
    const std::string extra =
        wide ? little(1, 2) + little(24, 2) + little(size, 8) + little(size, 8) + little(offset, 8)
             : "";
    directory_ += little(0x02014b50, 4) + little(wide ? 45 : 20, 2) + common +
                  little(extra.size(), 2) + little(0, 2) + little(0, 2) + little(0, 2) +
                  little(0, 4) + little(wide ? kMax : offset, 4) + full + extra;
    ++count_;
  }

  std::string path_;
  AtomicFile file_;
  std::string directory_;
  std::vector<std::string> names_;
  std::uint64_t count_ = 0;
};

}  // namespace io
TANDEM_NAMESPACE_END
