#pragma once
/// Python's html.unescape: "&lt;", "&#60;" and "&#x3c" become "<".

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tandem/clip/html_entities.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

namespace detail {

/// The characters of a named entity: the table's "3C" or "223E+333", and whether the name also
/// counts without a semicolon. Empty when there is no such name.
struct HtmlEntity {
  std::string_view codes;
  bool bare = false;
};
inline HtmlEntity find_html_entity(std::string_view name, std::string_view table = html_entities) {
  const auto separator = [](char c) { return c == ' ' || c == '\n'; };
  // Between `low` and `high` lie whole entries, each after a separator.
  std::size_t low = 0, high = table.size() - 1;
  while (low < high) {
    std::size_t begin = low + (high - low) / 2;
    while (begin > low && !separator(table[begin])) --begin;
    const std::size_t mark = table.find_first_of("=*", begin);
    const std::size_t end = table.find_first_of(" \n", begin + 1);
    const int order = name.compare(table.substr(begin + 1, mark - begin - 1));
    if (order == 0) return {table.substr(mark + 1, end - mark - 1), table[mark] == '*'};
    (order < 0 ? high : low) = order < 0 ? begin : end;
  }
  return {};
}

inline void append_html_codes(std::u32string& out, std::string_view codes) {
  std::uint32_t code = 0;
  for (char c : codes) {
    if (c == '+') {
      out += static_cast<char32_t>(code);
      code = 0;
    } else {
      code = code << 4 | static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10);
    }
  }
  out += static_cast<char32_t>(code);
}

/// Windows-1252 at the places 128 to 159.
inline constexpr char32_t windows_1252[32] = {
    0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
    0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};

/// The character of a number, as HTML5 and Python have it: numbers 128 to 159 are Windows-1252,
/// those of no character at all U+FFFD, and control characters and non-characters vanish.
inline void append_html_number(std::u32string& out, std::uint32_t number) {
  if (number == 0 || (number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) {
    out += U'\uFFFD';
  } else if (number >= 0x80 && number <= 0x9F) {
    out += windows_1252[number - 0x80];
  } else if (number == '\t' || number == '\n' || number == '\f' || number == '\r' ||
             !(number < 0x20 || number == 0x7F || (number >= 0xFDD0 && number <= 0xFDEF) ||
               (number & 0xFFFE) == 0xFFFE)) {
    out += static_cast<char32_t>(number);
  }
}

}  // namespace detail

/// html.unescape(text). A name without its semicolon counts where HTML5 allows that, also as the
/// beginning of a longer word ("&notit" → "¬it"); anything else that follows "&" stays as it is.
inline std::u32string unescape_html(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  std::size_t i = 0;
  const auto at = [&](std::size_t k) { return k < text.size() ? text[k] : U'\0'; };
  while (i < text.size()) {
    if (text[i] != U'&') {
      out += text[i++];
      continue;
    }
    std::size_t end = i + 1;
    if (at(end) == U'#') {
      const bool hex = at(end + 1) == U'x' || at(end + 1) == U'X';
      const std::size_t first = end + (hex ? 2 : 1);
      std::uint32_t number = 0;
      for (end = first;; ++end) {
        const char32_t c = at(end);
        const std::uint32_t digit = c >= U'0' && c <= U'9'          ? c - U'0'
                                    : hex && c >= U'a' && c <= U'f' ? c - U'a' + 10
                                    : hex && c >= U'A' && c <= U'F' ? c - U'A' + 10
                                                                    : 99;
        if (digit == 99) break;
        if (number <= 0x10FFFF) number = number * (hex ? 16 : 10) + digit;
      }
      if (end > first) {
        detail::append_html_number(out, number);
        i = end + (at(end) == U';' ? 1 : 0);
        continue;
      }
      // "&#" without digits is no name either: # is not of one.
      out += text[i++];
      continue;
    }
    // A name: up to 32 characters, of which all names consist of ASCII letters and digits.
    std::string name;
    for (; end < text.size() && end - i <= 32; ++end) {
      const char32_t c = text[end];
      if (c == U'\t' || c == U'\n' || c == U'\f' || c == U' ' || c == U'<' || c == U'&' ||
          c == U'#' || c == U';') {
        break;
      }
      name += c < 0x80 ? static_cast<char>(c) : '\x7F';
    }
    detail::HtmlEntity entity;
    if (at(end) == U';' && !name.empty()) {
      entity = detail::find_html_entity(name);
      if (!entity.codes.empty()) ++end;
    }
    for (std::size_t n = std::min(name.size(), detail::longest_bare_entity);
         entity.codes.empty() && n >= 2; --n) {
      entity = detail::find_html_entity(std::string_view(name).substr(0, n));
      if (!entity.bare) entity.codes = {};
      end = i + 1 + n;
    }
    if (entity.codes.empty()) {
      out += text[i++];
    } else {
      detail::append_html_codes(out, entity.codes);
      i = end;
    }
  }
  return out;
}

}  // namespace clip
TANDEM_NAMESPACE_END
