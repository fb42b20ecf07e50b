#pragma once
/// Tables that a page shows beside its own: from Markdown, or from JSON.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"

namespace report {

using namespace tandem;

struct Table {
  std::string title;
  std::vector<std::string> header = {};
  std::vector<std::vector<std::string>> rows = {};
};

namespace detail {

inline std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\r");
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r") + 1 - from);
}

/// "| a | **b** |" → {"a", "b"}; marks of emphasis and code go, "\|" is a bar.
inline std::vector<std::string> cells(std::string_view line) {
  line = trimmed(line);
  if (line.starts_with('|')) line.remove_prefix(1);
  if (line.ends_with('|') && !line.ends_with("\\|")) line.remove_suffix(1);
  std::vector<std::string> out(1);
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char next = i + 1 < line.size() ? line[i + 1] : '\0';
    if (line[i] == '\\' && next == '|') {
      out.back() += '|';
      ++i;
    } else if (line[i] == '|') {
      out.emplace_back();
    } else if (line[i] == '*' && next == '*') {
      ++i;
    } else if (line[i] != '`') {
      out.back() += line[i];
    }
  }
  for (std::string& cell : out) cell = std::string(trimmed(cell));
  return out;
}

/// |---|:---:|
inline bool is_rule(std::string_view line) {
  line = trimmed(line);
  return line.find('-') != line.npos && line.find('|') != line.npos &&
         line.find_first_not_of("|-: \t") == line.npos;
}

inline std::vector<Table> markdown_tables(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  std::vector<Table> out;
  std::string title;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = trimmed(lines[i]);
    if (line.starts_with('#')) {
      const std::size_t words = line.find_first_not_of("# ");
      title = std::string(words == line.npos ? "" : line.substr(words));
    }
    if (line.find('|') == line.npos || i + 1 >= lines.size() || !is_rule(lines[i + 1])) continue;
    Table table{.title = title, .header = cells(line)};
    for (i += 2; i < lines.size() && trimmed(lines[i]).find('|') != line.npos; ++i)
      table.rows.push_back(cells(lines[i]));
    out.push_back(std::move(table));
  }
  return out;
}

/// A text as it is, a number as JSON writes it, null as nothing.
inline std::string cell_text(const io::JsonRef& cell) {
  if (cell.is_null()) return "";
  if (cell.json().is_string()) return cell.string();
  if (!cell.json().is_number() && !cell.json().is_boolean())
    cell.error("expected a text, a number or null");
  return io::json_text(cell.json());
}

inline Table json_table(const io::JsonRef& root) {
  Table out;
  out.title = root["title"].string();
  const auto texts = [](const io::JsonRef& list) {
    std::vector<std::string> all;
    for (const io::Json& cell : list.array()) all.push_back(cell_text(list.of(cell)));
    return all;
  };
  out.header = texts(root["header"]);
  const io::JsonRef rows = root["rows"];
  for (const io::Json& row : rows.array()) out.rows.push_back(texts(rows.of(row)));
  return out;
}

}  // namespace detail

/// The tables of a file: {"title", "header": […], "rows": [[…]]} or a list of such objects, or, in
/// any file whose name does not end with .json, every Markdown table, with the heading above it as
/// its title. Errors: no table; a row that has more cells than the header.
inline std::vector<Table> read_tables(const std::string& path) {
  std::vector<Table> out;
  if (path.ends_with(".json")) {
    const io::JsonDocument document = io::JsonDocument::load(path);
    const io::JsonRef root = document.root();
    if (root.json().is_array()) {
      for (const io::Json& one : root.array()) out.push_back(detail::json_table(root.of(one)));
    } else {
      out.push_back(detail::json_table(root));
    }
  } else {
    out = detail::markdown_tables(io::read_text(path));
  }
  TANDEM_CHECK(!out.empty(), "report", path, " holds no table");
  for (const Table& table : out) {
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      TANDEM_CHECK(table.rows[r].size() <= table.header.size(), "report", path, ": row ", r + 1,
                   " of the table '", table.title, "' has ", table.rows[r].size(),
                   " cells, its header ", table.header.size());
    }
  }
  return out;
}

/// Those of several files, as the page has them; a table without a title has its file's name.
inline io::Json tables_json(const std::vector<std::string>& paths) {
  io::Json::array_t out;
  for (const std::string& path : paths) {
    for (Table& table : read_tables(path)) {
      io::Json one = io::Json::object();
      one["title"] = table.title.empty() ? std::filesystem::path(path).stem().string()
                                         : std::move(table.title);
      one["header"] = std::move(table.header);
      one["rows"] = std::move(table.rows);
      out.push_back(std::move(one));
    }
  }
  return io::Json(std::move(out));
}

}  // namespace report
