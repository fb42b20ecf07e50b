#pragma once
/// Tables in plain text.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "cli_text.hpp"

namespace cli {

/// A table in plain text: the first column to the left, the others to the right.
///   cli::Table table({"tIoU", "0.5", "0.75"});
///   table.row({"mAP %", "41.20", "25.03"});
///   table.print();
class Table {
 public:
  explicit Table(std::vector<std::string> header) { row(std::move(header)); }
  Table& row(std::vector<std::string> cells) {
    for (std::string& cell : cells) cell = printable(cell);
    rows_.push_back(std::move(cells));
    return *this;
  }

  std::string str() const {
    std::vector<std::size_t> widths;
    for (const auto& cells : rows_) {
      if (cells.size() > widths.size()) widths.resize(cells.size());
      for (std::size_t c = 0; c < cells.size(); ++c) {
        widths[c] = std::max(widths[c], text_width(cells[c]));
      }
    }
    std::string out;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      for (std::size_t c = 0; c < rows_[r].size(); ++c) {
        const std::string padding(widths[c] - text_width(rows_[r][c]), ' ');
        if (c > 0) out += "  " + padding;
        out += rows_[r][c];
        if (c == 0 && rows_[r].size() > 1) out += padding;
      }
      out += '\n';
      if (r == 0) {
        std::size_t total = widths.empty() ? 0 : 2 * (widths.size() - 1);
        for (std::size_t width : widths) total += width;
        out += std::string(total, '-') + "\n";
      }
    }
    return out;
  }
  void print(std::FILE* file = stdout) const {
    const std::string text = str();
    std::fwrite(text.data(), 1, text.size(), file);
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cli
