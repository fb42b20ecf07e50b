#pragma once
/// Checkpoints: everything that a resumed run needs, in one safetensors file that Python reads too.
///
/// Tensors: parameters and optimizer state by name. Metadata: the step counters, the options of the run
/// as JSON, the program's version. The random state is not a tensor: all draws are functions of the seed
/// (an option) and the step. The file is replaced atomically, so a kill at any moment leaves either the
/// old checkpoint or the new one.

#include <cstdint>
#include <string>
#include <vector>

#include "tandem/io/json_reader.hpp"
#include "tandem/io/safetensors.hpp"
#include "tandem/nn/module.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

template <FloatingElement T>
struct Checkpoint {
  std::vector<nn::Named<T>> tensors;
  std::vector<std::int64_t> counters;
  std::string options;  ///< JSON
  Metadata notes = {};  ///< further metadata by name: whatever a reader of the file may want to know
};

/// Writes a checkpoint, atomically.
template <FloatingElement T>
void save_checkpoint(const std::string& path, const Checkpoint<T>& checkpoint) {
  SafetensorsWriter out;
  for (const nn::Named<T>& named : checkpoint.tensors) out.add(named.name, named.tensor);
  std::string counters;
  for (std::int64_t n : checkpoint.counters) counters += concat(counters.empty() ? "" : ",", n);
  out.metadata = checkpoint.notes;
  out.metadata["format"] = "tandem checkpoint 1";
  out.metadata["version"] = TANDEM_VERSION_STRING;
  out.metadata["counters"] = "[" + counters + "]";
  out.metadata["options"] = checkpoint.options;
  out.save(path);
}

/// Reads a checkpoint; the tensors are copies.  Errors: not a checkpoint, an element type other than T.
template <FloatingElement T>
Checkpoint<T> load_checkpoint(const std::string& path) {
  const SafetensorsFile file(path);
  const auto entry = [&](const char* key) -> const std::string& {
    const auto found = file.metadata().find(key);
    TANDEM_CHECK(found != file.metadata().end(), "checkpoint", path, " has no metadata \"", key,
                 "\": it is not a checkpoint of tandem");
    return found->second;
  };
  TANDEM_CHECK(entry("format") == "tandem checkpoint 1", "checkpoint", path, " has format \"",
               entry("format"), "\", expected \"tandem checkpoint 1\"");
  Checkpoint<T> out;
  out.options = entry("options");
  const auto counters = JsonDocument::parse(entry("counters"), path + " (counters)");
  for (const auto& value : counters.root().array()) {
    out.counters.push_back(counters.root().of(value).integer());
  }
  for (const auto& [key, value] : file.metadata()) {
    if (key != "format" && key != "version" && key != "counters" && key != "options") out.notes[key] = value;
  }
  for (const std::string& name : file.names()) {
    out.tensors.push_back({name, file.get<T>(name).clone()});
  }
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
