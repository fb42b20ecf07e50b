#pragma once
/// Names of classes as a person would write them: "CleanAndJerk" → "clean and jerk".

#include <cstddef>
#include <string>
#include <string_view>

#include "tandem/clip/normalization.hpp"
#include "tandem/clip/unicode.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// The words of a class name, in lower case, with single spaces between them.
///   - Spaces and underscores separate words: "brush_hair", "Clean and jerk".
///   - So does the place before a capital that follows a small letter or a digit, "ThrowDiscus",
///     "4x4Race", and before the last capital of a row that goes on in small letters: "BMXRace" →
///     "bmx race".
///   - Everything else stays: "Ping-pong", "Shotput". A digit needs no space before it, because the
///     tokenizer parts letters and digits anyway.
///
///     clip::readable_class_name("GolfSwing");   // → "golf swing"
inline std::string readable_class_name(std::string_view name) {
  const std::u32string text = compose_characters(decode_text(name));  // a mark alone is no letter
  const auto is_capital = [&](std::size_t i) { return lower_character(text[i]) != text[i]; };
  const auto is_small = [&](std::size_t i) {
    return character_kind(text[i]) == CharacterKind::letter && !is_capital(i);
  };
  std::u32string words;
  bool separated = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == U'_' || character_kind(text[i]) == CharacterKind::space) {
      separated = true;
      continue;
    }
    if (i > 0 && is_capital(i)) {
      const bool after_small =
          is_small(i - 1) || character_kind(text[i - 1]) == CharacterKind::number;
      const bool last_of_row = is_capital(i - 1) && i + 1 < text.size() && is_small(i + 1);
      separated = separated || after_small || last_of_row;
    }
    if (separated && !words.empty()) words += U' ';
    separated = false;
    words += text[i];
  }
  return encode_text(lower(words));
}

}  // namespace clip
TANDEM_NAMESPACE_END
