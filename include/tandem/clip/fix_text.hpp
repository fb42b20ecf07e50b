#pragma once
/// What ftfy.fix_text(text, fix_encoding=False) makes of a text: the cleaning that the CLIP
/// release's tokenizer begins with, without the guess that a text was decoded with the wrong
/// encoding.
///                                                        [ftfy 6, documentation of its fixers]

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/clip/html.hpp"
#include "tandem/clip/normalization.hpp"
#include "tandem/clip/text_tables.hpp"
#include "tandem/io/utf8.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

namespace detail {

inline bool is_ascii_letter(char32_t c) { return (c | 32) >= U'a' && (c | 32) <= U'z'; }
inline bool is_ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

/// Replaces what "&", perhaps "#", 1 to 24 ASCII letters or digits and ";" stand for, once;
/// whatever is no entity stays. Unlike html.unescape nothing counts without its semicolon.
inline std::u32string unescape_entities(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != U'&') {
      out += text[i++];
      continue;
    }
    const bool numeric = i + 1 < text.size() && text[i + 1] == U'#';
    const std::size_t begin = i + (numeric ? 2 : 1);
    std::size_t end = begin;
    while (end < text.size() && end - begin < 25 &&
           (is_ascii_letter(text[end]) || is_ascii_digit(text[end])))
      ++end;
    if (end == begin || end - begin > 24 || end == text.size() || text[end] != U';') {
      out += text[i++];
      continue;
    }
    const std::u32string_view whole = text.substr(i, end + 1 - i);
    if (numeric) {
      // A number that html.unescape reads only in part is none.
      const std::u32string read = unescape_html(whole);
      out += read.find(U';') == std::u32string::npos ? std::u32string_view(read) : whole;
    } else {
      std::string name;
      for (char32_t c : text.substr(begin, end - begin)) name += static_cast<char>(c);
      HtmlEntity entity = find_html_entity(name);
      if (entity.codes.empty()) entity = find_html_entity(name, html_entities_in_capitals);
      if (entity.codes.empty()) {
        out += whole;
      } else {
        append_html_codes(out, entity.codes);
      }
    }
    i = end + 1;
  }
  return out;
}

/// The characters that replaced_characters has, sorted, each with what takes its place.
struct Replacement {
  char32_t code;
  std::u32string text;
};
inline const Replacement* find_replacement(char32_t c) {
  static const std::vector<Replacement> table = [] {
    std::vector<Replacement> out;
    std::string_view text = replaced_characters;
    for (text.remove_prefix(1); !text.empty(); text.remove_prefix(1)) {
      Replacement entry;
      entry.code = take_hex(text);
      const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
      append_html_codes(entry.text, text.substr(1, end - 1));
      text.remove_prefix(end);
      out.push_back(std::move(entry));
    }
    return out;
  }();
  const auto at =
      std::lower_bound(table.begin(), table.end(), c,
                       [](const Replacement& a, char32_t code) { return a.code < code; });
  return at != table.end() && at->code == c ? &*at : nullptr;
}

inline bool is_removed(char32_t c) {
  for (const auto& run : removed_characters) {
    if (c >= run[0] && c <= run[1]) return true;
  }
  return false;
}
inline bool is_decimal_digit(char32_t c) {
  if (c < 0x80) return is_ascii_digit(c);
  const auto after = std::upper_bound(std::begin(decimal_zeros), std::end(decimal_zeros),
                                      static_cast<std::uint32_t>(c));
  return c - *(after - 1) < 10;
}

/// Where the colour or cursor command of a terminal that begins at `at` ends: ESC, "[", digits and
/// ";", a letter; `at` where there is none.
inline std::size_t end_of_escape(std::u32string_view text, std::size_t at) {
  if (text[at] != 0x1B || at + 1 >= text.size() || text[at + 1] != U'[') return at;
  std::size_t end = at + 2;
  while (end < text.size() && (is_decimal_digit(text[end]) || text[end] == U';')) ++end;
  return end < text.size() && is_ascii_letter(text[end]) ? end + 1 : at;
}

/// One round of all fixes, in ftfy's order.
inline std::u32string fix_once(std::u32string_view text, bool unescape) {
  std::u32string plain;
  for (char32_t c : unescape ? unescape_entities(text) : std::u32string(text)) {
    if (const Replacement* other = c < 0x80 && c != U'\r' ? nullptr : find_replacement(c)) {
      plain += other->text;
    } else {
      plain += c;
    }
  }
  std::u32string kept;
  for (std::size_t i = 0; i < plain.size();) {
    if (const std::size_t end = end_of_escape(plain, i); end != i) {
      i = end;
    } else {
      if (!is_removed(plain[i])) kept += plain[i];
      ++i;
    }
  }
  return compose_characters(kept);
}

}  // namespace detail

/// Entities with their semicolon are read (until a line with "<"), C1 controls are taken as
/// Windows-1252, Latin ligatures and characters of other widths become plain ones and quotes
/// straight, line breaks are U+000A, terminal commands and control characters vanish, and what has
/// one composed character (NFC) gets it; line by line, again and again until nothing changes, at
/// most 64 times.
///
///     clip::fix_text(U"it’s ﬁne &amp;amp; cafe\u0301") == U"it's fine & café";   // → true
inline std::u32string fix_text(std::u32string_view text) {
  constexpr std::size_t longest = 1'000'000;  // of what ftfy takes at once
  std::u32string out;
  out.reserve(text.size());
  bool unescape = true;
  while (!text.empty()) {
    const std::size_t line = text.find(U'\n');
    std::size_t size = line == std::u32string_view::npos ? text.size() : line + 1;
    if (size > longest) size = longest;
    const std::u32string_view piece = text.substr(0, size);
    text.remove_prefix(size);
    bool plain = true;  // nothing to do for printing ASCII without entities
    for (char32_t c : piece) {
      if (c == U'<') unescape = false;
      plain = plain && ((c >= 0x20 && c < 0x7F && c != U'&') || c == U'\n' || c == U'\t');
    }
    if (plain) {
      out += piece;
      continue;
    }
    // Texts that go on changing, "&amp;amp;amp;…", are left to the two rounds of html.unescape: the
    // time must not grow with the square of their length.
    std::u32string fixed(piece);
    for (int round = 0; round < 64; ++round) {
      std::u32string next = detail::fix_once(fixed, unescape);
      const bool done = next == fixed;
      fixed = std::move(next);
      if (done) break;
    }
    out += fixed;
  }
  return out;
}

/// The first few characters of a text that read like UTF-8 taken for Windows-1252 or Latin-1, "Ã©"
/// for "é":
/// each is a byte there, and the bytes are a character in UTF-8. ftfy may repair such a text, which
/// tandem does not. Nothing where there are none.
inline std::optional<std::u32string> find_mojibake(std::u32string_view text) {
  const auto byte_of = [](char32_t c) -> int {
    if (c < 0x100) return static_cast<int>(c);
    if (c == U'\uFFFD') return 0x90;  // a byte that was lost
    for (int i = 0; i < 32; ++i) {
      if (detail::windows_1252[i] == c) return 0x80 + i;
    }
    return -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] < 0xC2 || text[i] > 0xF4)
      continue;  // the bytes that begin a sequence are themselves there
    std::string bytes;
    for (std::size_t k = i; k < text.size() && bytes.size() < 4; ++k) {
      const int byte = byte_of(text[k]);
      if (byte < 0x80) break;
      bytes += static_cast<char>(byte);
    }
    std::uint32_t code = 0;
    const std::size_t length = io::decode_utf8(bytes, code);
    const bool lost = length > 0 && text[i + 1] == U'\uFFFD';
    if (length > 1 && !lost) return std::u32string(text.substr(i, length));
  }
  return std::nullopt;
}

}  // namespace clip
TANDEM_NAMESPACE_END
