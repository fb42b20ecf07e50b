#pragma once
/// UTF-8: encoding one character, decoding with every rule checked, and text from files made fit
/// for a terminal.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// Appends one Unicode character (below 0x110000) as UTF-8.
inline void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80u | ((code >> shift) & 0x3Fu));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0u | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0u | code >> 12);
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0u | code >> 18);
    tail(12), tail(6), tail(0);
  }
}

/// Length of the valid UTF-8 sequence at the start of `text`; 0 when there is none (over-long
/// forms, surrogates and values past U+10FFFF are not valid). `code` receives the character.
inline std::size_t decode_utf8(std::string_view text, std::uint32_t& code) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : std::uint32_t{0};
  };
  const std::uint32_t lead = byte(0);
  if (text.empty()) return 0;
  if (lead < 0x80) {
    code = lead;
    return 1;
  }
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  code = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return 0;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  return code < smallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0
                                                                                          : length;
}

/// Text that came from outside (a file's name, a label, an error message that quotes them), fit to
/// be printed: what a terminal would obey instead of show is written out. Control characters (C0,
/// DEL, C1) and bytes that are not UTF-8 become \n, \t, \r or \x1b; marks that turn the direction
/// of writing and separate lines become \u202e.
///   io::printable("a\x1b[2Jb\xff") == "a\\x1b[2Jb\\xff";   // → true
/// A backslash stays as it is: this is for reading, not for turning back. `lines` keeps new lines:
/// for text of ours that has several.
inline std::string printable(std::string_view text, bool lines = false) {
  constexpr const char* hex = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::uint32_t code = 0;
    const std::size_t length = decode_utf8(text, code);
    const bool control = length > 0 && (code < 0x20 || (code >= 0x7F && code < 0xA0));
    const bool layout = code == 0x061C || (code >= 0x200E && code <= 0x200F) ||
                        (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
    if (code == '\n' && length == 1 && lines) {
      out += '\n';
    } else if (length == 0 || control) {
      const std::uint32_t byte = length == 0 ? static_cast<unsigned char>(text[0]) : code;
      if (byte == '\n') {
        out += "\\n";
      } else if (byte == '\t') {
        out += "\\t";
      } else if (byte == '\r') {
        out += "\\r";
      } else {
        out += "\\x";
        out += hex[byte >> 4 & 15];
        out += hex[byte & 15];
      }
    } else if (layout) {
      out += "\\u";
      for (const unsigned shift : {12u, 8u, 4u, 0u}) out += hex[code >> shift & 15];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
