#pragma once
/// Unicode as Python sees it: UTF-8 with errors="replace", str.lower, and the character classes of
/// the tokenizer's expression. The tables are in unicode_tables.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "tandem/clip/unicode_tables.hpp"
#include "tandem/io/utf8.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// Which part of the tokenizer's expression a character belongs to.
enum class CharacterKind : std::uint8_t { none, space, letter, number, other };

namespace detail {

/// The properties of a character, see character_runs.
inline std::uint32_t character_properties(char32_t c) {
  const auto after = std::upper_bound(std::begin(character_runs), std::end(character_runs),
                                      static_cast<std::uint32_t>(c) << 8 | 0xFFu);
  return *(after - 1) & 0xFFu;
}
inline bool is_cased(std::uint32_t properties) { return (properties & 8u) != 0; }
inline bool is_ignorable(std::uint32_t properties) { return (properties & 16u) != 0; }

/// How many bytes at the start of an invalid sequence are replaced together: the longest beginning
/// of
/// a valid one, or else one byte.                            [Unicode, section 3.9, table 3-7]
inline std::size_t invalid_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4 || text.size() < 2) return 1;
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead < 0xE0 || byte(1) < low || byte(1) > high) return 1;
  const bool third = lead >= 0xF0 && text.size() > 2 && (byte(2) & 0xC0u) == 0x80u;
  return third ? 3 : 2;
}

}  // namespace detail

inline CharacterKind character_kind(char32_t c) {
  return static_cast<CharacterKind>(detail::character_properties(c) & 7u);
}

/// UTF-8 to characters. What is not valid becomes U+FFFD, as in bytes.decode("utf-8", "replace").
inline std::u32string decode_text(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::uint32_t code = 0;
    std::size_t length = io::decode_utf8(text, code);
    if (length == 0) {
      code = 0xFFFD;
      length = detail::invalid_length(text);
    }
    out += static_cast<char32_t>(code);
    text.remove_prefix(length);
  }
  return out;
}

/// Characters to UTF-8.
inline std::string encode_text(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char32_t c : text) io::append_utf8(out, static_cast<std::uint32_t>(c));
  return out;
}

/// The lower case of one character, except U+0130, which has two, and the final sigma.
inline char32_t lower_character(char32_t c) {
  if (c < 0x80) return c >= U'A' && c <= U'Z' ? c + 32 : c;
  const std::uint32_t code = static_cast<std::uint32_t>(c);
  const auto after = std::upper_bound(
      std::begin(detail::lower_runs), std::end(detail::lower_runs), code,
      [](std::uint32_t value, const detail::LowerRun& run) { return value < run.first; });
  const detail::LowerRun& run = *(after - 1);  // the first run begins at 'A'
  if (code > run.last || (code - run.first) % static_cast<std::uint32_t>(run.step) != 0) return c;
  return static_cast<char32_t>(static_cast<std::int64_t>(code) + run.delta);
}

/// str.lower(): a capital sigma at the end of a word becomes a final one.
///
///     clip::lower(U"ΟΔΟΣ ΣΤΟ");   // "οδος στο"
inline std::u32string lower(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  // Whether a cased character comes before (nothing but case-ignorable ones in between), and where
  // the nearest character that is not case-ignorable comes after; both move along, so that a long
  // row of sigmas or ignorable characters costs no more than another text.
  bool cased_before = false;
  std::size_t next = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    const std::uint32_t properties = detail::character_properties(c);
    if (c == U'\u03A3') {
      bool cased_after = false;
      if (cased_before) {
        next = std::max(next, i + 1);
        while (next < text.size() &&
               detail::is_ignorable(detail::character_properties(text[next]))) {
          ++next;
        }
        cased_after =
            next < text.size() && detail::is_cased(detail::character_properties(text[next]));
      }
      out += cased_before && !cased_after ? U'\u03C2' : U'\u03C3';
    } else if (c == U'\u0130') {
      out += U"i\u0307";
    } else {
      out += lower_character(c);
    }
    if (!detail::is_ignorable(properties)) cased_before = detail::is_cased(properties);
  }
  return out;
}

}  // namespace clip
TANDEM_NAMESPACE_END
