#pragma once
/// How long a row of features is: what extract_features wrote beside its arrays.

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "tandem/features/snippets.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What the rows of a video were made of, as provenance/<id>.json has it.
struct RowProvenance {
  std::string path;            ///< of the file
  double seconds_per_row = 0;  ///< step / frames per second
  double seconds = 0;          ///< of the video; 0: not said
  std::int64_t rows = 0;       ///< 0: not said
  bool random_weights = false;
};

/// The provenance of a video's features, if there is one: provenance/<id>.json (or v_<id>.json) in
/// the folder `features` or beside it. Errors name the file: not JSON, seconds per row that are not
/// a length of time.
inline std::optional<RowProvenance> read_provenance(const std::string& features,
                                                    const std::string& id) {
  if (id.find('/') != std::string::npos) return std::nullopt;  // names no file
  std::string base = features;
  while (base.size() > 1 && base.back() == '/') base.pop_back();
  const std::size_t slash = base.rfind('/');
  const std::string beside = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : base.substr(0, slash);
  for (const std::string& folder : {base, beside}) {
    for (const char* prefix : {"", "v_"}) {
      const std::string path = io::join_path(folder, concat("provenance/", prefix, id, ".json"));
      if (!io::is_file(path)) continue;
      const auto document = io::JsonDocument::load(path);
      const io::JsonRef root = document.root();
      RowProvenance out{.path = path};
      out.seconds_per_row = root.at("seconds_per_row").number();
      if (!(out.seconds_per_row > 0))
        root.at("seconds_per_row").error("a row lasts longer than 0 seconds");
      if (const auto video = root.find("video")) out.seconds = video->get("seconds", 0.0);
      out.rows = root.get("rows", std::int64_t{0});
      out.random_weights = root.get("random_weights", false);
      return out;
    }
  }
  return std::nullopt;
}

/// True when two lengths of a row are the same but for the digits that somebody typed: within a
/// thousandth.
inline bool same_row_length(double a, double b) {
  return std::fabs(a - b) <= 1e-3 * std::fmax(a, b);
}

/// Where the length of a row comes from.
enum class RowLengthSource { provenance, option, checkpoint, convention };

/// The source in words, for messages.
inline const char* row_length_source(RowLengthSource source) {
  switch (source) {
    case RowLengthSource::provenance:
      return "as extract_features wrote beside the features";
    case RowLengthSource::option:
      return "as --seconds-per-row says";
    case RowLengthSource::checkpoint:
      return "as in training";
    case RowLengthSource::convention:
      break;
  }
  return "the field's convention: 16 frames at 25 per second; nothing says otherwise";
}

}  // namespace wtal
TANDEM_NAMESPACE_END
