#pragma once
/// Tables as CSV (RFC 4180), as pandas and spreadsheets read them.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/json_reader.hpp"

namespace cli {

/// A cell: as it is, or in quotation marks where it holds a comma, a quotation mark or a line
/// break.
///   csv_cell("a \"b\", c") == "\"a \"\"b\"\", c\""
inline std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

/// Cells → a line.
inline std::string csv_line(const std::vector<std::string>& cells) {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) out += (i > 0 ? "," : "") + csv_cell(cells[i]);
  return out + "\n";
}

/// The leaves of a JSON object by their paths, in order: {"step": 3, "map": {"0.5": 0.4}} becomes
/// (step, 3) and (map.0.5, 0.4). null is blank, a list its JSON text.
inline void flatten(const tandem::io::Json& value, const std::string& path,
                    std::vector<std::pair<std::string, std::string>>& out) {
  if (!value.is_object()) {
    out.emplace_back(path, value.is_null()     ? ""
                           : value.is_string() ? value.get<std::string>()
                                               : tandem::io::json_text(value));
    return;
  }
  for (const auto& [key, inner] : value.get_ref<const tandem::io::Json::object_t&>())
    flatten(inner, path.empty() ? key : path + "." + key, out);
}

}  // namespace cli
