#pragma once
/// Text for a terminal: widths, line breaks, numbers and times as people read them.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

#include "tandem/io/utf8.hpp"

namespace cli {

/// A name, label or message from a file as it may go to a terminal, its control characters written
/// out:
/// std::printf("%s\n", cli::printable(video.id).c_str()). Table, Progress and run() do so with all
/// that they are given.
using tandem::io::printable;

/// Number of characters (not bytes) of UTF-8 text.
inline std::size_t text_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

/// Text broken into lines of at most `width` characters at spaces, continued at column `indent`.
inline std::string wrap(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = indent;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    const std::size_t needed = text_width(word);
    if (column > indent && column + 1 + needed > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += needed;
  }
  return out;
}

/// printf's "%.*f": fixed(40.83, 1) == "40.8".
inline std::string fixed(double value, int digits) {
  char buffer[64];
  const int n = std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return n > 0 && n < static_cast<int>(sizeof buffer) ? std::string(buffer) : std::string("?");
}

/// A fraction in per cent: percent(0.408) == "40.80".
inline std::string percent(double fraction, int digits = 2) {
  return fixed(100 * fraction, digits);
}

/// "0.4 s", "42 s", "3:05", "2:03:05".
inline std::string duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  if (seconds < 9.95) return fixed(seconds, 1) + " s";
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  const auto two = [](long n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (whole < 3600) return std::to_string(whole / 60) + ":" + two(whole % 60);
  return std::to_string(whole / 3600) + ":" + two(whole / 60 % 60) + ":" + two(whole % 60);
}

}  // namespace cli
