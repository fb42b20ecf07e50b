#pragma once
/// Unicode's normalization form C: letters with marks are one character where there is one.
///                                                    [Unicode, section 3.11, and annex 15]

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/clip/normalization_tables.hpp"
#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

namespace detail {

/// A hexadecimal number at the start of `text`, which it leaves.
inline char32_t take_hex(std::string_view& text) {
  std::uint32_t code = 0;
  while (!text.empty() &&
         ((text[0] >= '0' && text[0] <= '9') || (text[0] >= 'A' && text[0] <= 'F'))) {
    code =
        code << 4 | static_cast<std::uint32_t>(text[0] <= '9' ? text[0] - '0' : text[0] - 'A' + 10);
    text.remove_prefix(1);
  }
  return static_cast<char32_t>(code);
}

/// The table of decompositions, both ways.
struct CanonicalPairs {
  struct Parts {
    char32_t code, first, second;  // second 0: there is one part
  };
  std::vector<Parts> by_code, by_parts;  // by_parts: those that NFC composes

  CanonicalPairs() {
    std::string_view text = decompositions;
    for (text.remove_prefix(1); !text.empty(); text.remove_prefix(1)) {
      Parts entry{};
      entry.code = take_hex(text);
      const bool composes = text[0] == '*';
      text.remove_prefix(1);
      entry.first = take_hex(text);
      if (text[0] == '+') {
        text.remove_prefix(1);
        entry.second = take_hex(text);
      }
      by_code.push_back(entry);
      if (composes) by_parts.push_back(entry);
    }
    std::sort(by_parts.begin(), by_parts.end(), [](const Parts& a, const Parts& b) {
      return a.first != b.first ? a.first < b.first : a.second < b.second;
    });
  }
  static const CanonicalPairs& get() {
    static const CanonicalPairs table;
    return table;
  }
  const Parts* find(char32_t code) const {
    const auto at = std::lower_bound(by_code.begin(), by_code.end(), code,
                                     [](const Parts& a, char32_t c) { return a.code < c; });
    return at != by_code.end() && at->code == code ? &*at : nullptr;
  }
  char32_t compose(char32_t first, char32_t second) const {
    const auto at =
        std::lower_bound(by_parts.begin(), by_parts.end(), std::pair{first, second},
                         [](const Parts& a, const std::pair<char32_t, char32_t>& p) {
                           return a.first != p.first ? a.first < p.first : a.second < p.second;
                         });
    return at != by_parts.end() && at->first == first && at->second == second ? at->code : 0;
  }
};

/// Syllables are computed: 19 leading consonants × 21 vowels × 27 trailing consonants or none.
///                                                                  [Unicode, section 3.12]
inline constexpr char32_t hangul = 0xAC00, hangul_lead = 0x1100, hangul_vowel = 0x1161,
                          hangul_trail = 0x11A7;
inline constexpr char32_t hangul_vowels = 21, hangul_trails = 28, hangul_syllables = 11172;

inline void append_decomposed(std::u32string& out, char32_t c) {
  if (c < 0xC0) {
    out += c;
    return;
  }
  if (c >= hangul && c < hangul + hangul_syllables) {
    const char32_t syllable = c - hangul, trail = syllable % hangul_trails;
    out += hangul_lead + syllable / (hangul_vowels * hangul_trails);
    out += hangul_vowel + syllable / hangul_trails % hangul_vowels;
    if (trail != 0) out += hangul_trail + trail;
    return;
  }
  const CanonicalPairs::Parts* parts = CanonicalPairs::get().find(c);
  if (parts == nullptr) {
    out += c;
    return;
  }
  append_decomposed(out, parts->first);
  if (parts->second != 0) append_decomposed(out, parts->second);
}

/// One character of two, or 0.
inline char32_t composed(char32_t first, char32_t second) {
  if (first >= hangul_lead && first < hangul_lead + 19 && second >= hangul_vowel &&
      second < hangul_vowel + hangul_vowels) {
    return hangul +
           ((first - hangul_lead) * hangul_vowels + (second - hangul_vowel)) * hangul_trails;
  }
  if (first >= hangul && first < hangul + hangul_syllables &&
      (first - hangul) % hangul_trails == 0 && second > hangul_trail &&
      second < hangul_trail + hangul_trails) {
    return first + (second - hangul_trail);
  }
  return CanonicalPairs::get().compose(first, second);
}

inline std::uint32_t combining_class(char32_t c) {
  if (c < 0x300) return 0;
  const auto after = std::upper_bound(std::begin(combining_runs), std::end(combining_runs),
                                      static_cast<std::uint32_t>(c) << 8 | 0xFFu);
  return *(after - 1) & 0xFFu;
}

}  // namespace detail

/// unicodedata.normalize("NFC", text).
///
///     clip::compose_characters(U"cafe\u0301") == U"café";   // → true
inline std::u32string compose_characters(std::u32string_view text) {
  // No character below U+0300 takes part but as the first of a pair.
  if (std::none_of(text.begin(), text.end(), [](char32_t c) { return c >= 0x300; }))
    return std::u32string(text);
  std::u32string apart;
  apart.reserve(text.size() + text.size() / 2);
  for (char32_t c : text) detail::append_decomposed(apart, c);
  // Marks in a row are put in the order of their classes.
  std::vector<std::uint32_t> classes(apart.size());
  std::transform(apart.begin(), apart.end(), classes.begin(), detail::combining_class);
  for (std::size_t i = 0; i < apart.size();) {
    std::size_t end = i;
    while (end < apart.size() && classes[end] != 0) ++end;
    if (end - i > 1) {
      std::vector<std::pair<std::uint32_t, char32_t>> marks;
      for (std::size_t k = i; k < end; ++k) marks.emplace_back(classes[k], apart[k]);
      std::stable_sort(marks.begin(), marks.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
      for (std::size_t k = i; k < end; ++k) {
        classes[k] = marks[k - i].first;
        apart[k] = marks[k - i].second;
      }
    }
    i = std::max(end, i + 1);
  }
  // A character joins the last one of class 0 unless one between them has its class or a higher
  // one, or 0.
  std::u32string out;
  out.reserve(apart.size());
  std::size_t first = std::u32string::npos;
  std::uint32_t last_class = 0;
  for (std::size_t i = 0; i < apart.size(); ++i) {
    const bool free =
        first != std::u32string::npos && (first + 1 == out.size() || last_class < classes[i]);
    const char32_t joined = free ? detail::composed(out[first], apart[i]) : 0;
    if (joined != 0) {
      out[first] = joined;
      continue;
    }
    if (classes[i] == 0) first = out.size();
    last_class = classes[i];
    out += apart[i];
  }
  return out;
}

}  // namespace clip
TANDEM_NAMESPACE_END
