#pragma once
/// Checkpoints: everything that a resumed run needs, in one safetensors file that Python reads too.
///
/// Tensors: parameters and optimizer state by name. Metadata: the step counters, the options of the
/// run (any text, such as JSON), the program's version. The random state is not a tensor: all draws
/// are functions of the seed (an option) and the step. The file is replaced atomically, so a kill
/// at any moment leaves either the old checkpoint or the new one.
///
/// Damage on the disk is noticed: the metadata "checksums" has a checksum (checksum.hpp) per
/// tensor, and "checksum" is that of everything else, all other metadata and the tensors' names,
/// types and shapes. Both are tested on load. Hashing 350 MB takes 0.06 s of one core. Checkpoints
/// of format 1, written before there were checksums, are read and say so.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tandem/io/checksum.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/safetensors.hpp"
#include "tandem/nn/module.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// What a checkpoint holds.
template <FloatingElement T>
struct Checkpoint {
  std::vector<nn::Named<T>> tensors;   ///< parameters, states of optimizers: all by name
  std::vector<std::int64_t> counters;  ///< whatever counts the program keeps
  std::string options;                 ///< any text; the programs here write JSON
  /// Further metadata by name: whatever a reader of the file may want to know
  Metadata notes = {};
  /// What was read has checksums, and they agree. False for a file of format 1.
  bool tested = false;
};

namespace detail {

inline constexpr const char* checkpoint_format = "tandem checkpoint 2";
inline constexpr const char* untested_format = "tandem checkpoint 1";

/// The checksum of all that is not a tensor's elements. Lengths come before texts, so that no two
/// headers read alike.
class HeaderChecksum {
 public:
  explicit HeaderChecksum(const Metadata& metadata) {
    for (const auto& [key, value] : metadata) {
      if (key == "checksum") continue;
      add(key);
      add(value);
    }
  }
  void add_tensor(const std::string& name, ElementKind kind,
                  const std::vector<std::int64_t>& shape) {
    add(name);
    add(concat(kind_name(kind), shape_text(shape)));
  }
  std::string str() const { return hexadecimal(sum_); }

 private:
  void add(std::string_view text) {
    const std::uint64_t size = text.size();
    sum_ = checksum(text, checksum(&size, sizeof size, sum_));
  }
  std::uint64_t sum_ = 0;
};

}  // namespace detail

/// Writes a checkpoint, atomically. Tensors may be on a GPU: a checkpoint does not say where it was
/// written, and what it is loaded into may be elsewhere.
template <FloatingElement T>
void save_checkpoint(const std::string& path, const Checkpoint<T>& checkpoint) {
  SafetensorsWriter out;
  std::map<std::string, const Tensor<T>*> sorted;
  for (const nn::Named<T>& named : checkpoint.tensors) {
    out.add(named.name, named.tensor);
    sorted[named.name] = &named.tensor;
  }
  std::string counters;
  for (std::int64_t n : checkpoint.counters) counters += concat(counters.empty() ? "" : ",", n);
  Json::object_t sums;
  for (const auto& [name, tensor] : sorted) {
    const Tensor<T> dense = detail::on_host(*tensor);
    sums.emplace_back(
        name,
        hexadecimal(checksum(dense.data(), static_cast<std::size_t>(dense.numel()) * sizeof(T))));
  }
  out.metadata = checkpoint.notes;
  out.metadata["format"] = detail::checkpoint_format;
  out.metadata["version"] = TANDEM_VERSION_STRING;
  out.metadata["counters"] = "[" + counters + "]";
  out.metadata["options"] = checkpoint.options;
  out.metadata["checksums"] = json_text(Json(std::move(sums)));
  detail::HeaderChecksum header(out.metadata);
  for (const auto& [name, tensor] : sorted) {
    const std::vector<std::int64_t> shape(tensor->shape().begin(), tensor->shape().end());
    header.add_tensor(name, detail::kind_of<T>(), shape);
  }
  out.metadata["checksum"] = header.str();
  out.save(path);
}

/// Reads a checkpoint; the tensors are copies.  Errors: not a checkpoint, an element type other
/// than T, damage: a sentence that names the tensor, or the header, whose checksum is another one.
template <FloatingElement T>
Checkpoint<T> load_checkpoint(const std::string& path) {
  const SafetensorsFile file(path);
  const auto entry = [&](const char* key) -> const std::string& {
    const auto found = file.metadata().find(key);
    TANDEM_CHECK(found != file.metadata().end(), "checkpoint", path, " has no metadata \"", key,
                 "\": it is not a checkpoint of tandem");
    return found->second;
  };
  Checkpoint<T> out;
  out.tested = entry("format") != detail::untested_format;
  TANDEM_CHECK(!out.tested || entry("format") == detail::checkpoint_format, "checkpoint", path,
               " has format \"", entry("format"), "\", expected \"", detail::checkpoint_format,
               "\"");
  if (out.tested) {
    detail::HeaderChecksum header(file.metadata());
    for (const std::string& name : file.names())
      header.add_tensor(name, file.at(name).kind, file.at(name).shape);
    TANDEM_CHECK(header.str() == entry("checksum"), "checkpoint", path,
                 " is damaged: its header has the checksum ", header.str(),
                 ", it was written with ", entry("checksum"));
  } else {
    TANDEM_CHECK(file.metadata().count("checksum") == 0, "checkpoint", path,
                 " is damaged: its header has a checksum, ", "and a format without");
  }
  out.options = entry("options");
  const auto counters = JsonDocument::parse(entry("counters"), path + " (counters)");
  for (const auto& value : counters.root().array()) {
    out.counters.push_back(counters.root().of(value).integer());
  }
  for (const auto& [key, value] : file.metadata()) {
    bool own = false;
    for (const char* name : {"format", "version", "counters", "options", "checksums", "checksum"})
      own = own || key == name;
    if (!own) out.notes[key] = value;
  }
  const auto sums = JsonDocument::parse(out.tested ? entry("checksums") : std::string("{}"),
                                        path + " (checksums)");
  for (const std::string& name : file.names()) {
    if (out.tested) {
      const Array& array = file.at(name);
      const std::string& written = sums.root().at(name).string();
      const std::string now = hexadecimal(checksum(array.data, array.bytes));
      TANDEM_CHECK(now == written, "checkpoint", path, " is damaged: the tensor \"", name,
                   "\" has the checksum ", now, ", it was written with ", written);
    }
    const ElementKind kind = file.at(name).kind;
    TANDEM_CHECK(file.at(name).template holds<T>() || !file.is_floating(name), "checkpoint", path,
                 ": \"", name, "\" has ", kind_name(kind), " elements, ", dtype_of<T>,
                 " was asked for: call load_checkpoint<",
                 kind == ElementKind::f64 ? "double" : "float", ">");
    out.tensors.push_back({name, file.get<T>(name).clone()});
  }
  return out;
}

/// "" for a checkpoint whose checksums agree, else a sentence for the user.
template <FloatingElement T>
std::string untested_note(const Checkpoint<T>& checkpoint, const std::string& path) {
  if (checkpoint.tested) return "";
  return concat(path,
                " was written before checkpoints had checksums: damage in it would not be seen");
}

}  // namespace io
TANDEM_NAMESPACE_END
