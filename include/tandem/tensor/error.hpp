#pragma once
/// One exception type and one voice for every message: "[op] what is wrong: what was given".

#include <charconv>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN

/// Thrown for every error that tandem detects.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// The path of the module being run on this thread ("blocks.0.attn"); nn::ModuleScope maintains it.
inline std::string& module_path() {
  thread_local std::string path;
  return path;
}

inline void append_piece(std::string& out, std::string_view piece) { out += piece; }
inline void append_piece(std::string& out, const char* piece) { out += piece; }
inline void append_piece(std::string& out, bool value) { out += value ? "true" : "false"; }
inline void append_piece(std::string& out, char value) { out += value; }
/// The fewest digits that read back as the same number, laid out as Python does: 0.1, 1e-06,
/// 1e+300.
template <class V>
requires(std::is_same_v<V, float> || std::is_same_v<V, double>) void append_piece(std::string& out,
                                                                                  V value) {
  const V magnitude = value < 0 ? -value : value;
  const bool plain = magnitude == 0 || (magnitude >= V(1e-4) && magnitude < V(1e16));
  const bool special = !(magnitude - magnitude == 0);  // "inf", "nan"
  char text[32];
  const auto end =
      std::to_chars(text, text + sizeof text, value,
                    plain || special ? std::chars_format::fixed : std::chars_format::scientific);
  out.append(text, end.ptr);
}
inline void append_piece(std::string& out, long double value) {
  append_piece(out, static_cast<double>(value));
}
template <class V>
requires(std::is_integral_v<V>) void append_piece(std::string& out, V value) {
  out += std::to_string(value);
}
template <class V>
requires requires(const V& v) {
  { v.str() } -> std::convertible_to<std::string>;
}
void append_piece(std::string& out, const V& value) { out += value.str(); }

}  // namespace detail

/// Joins strings, numbers and anything with `.str()` (Shape, DType, Device) into one string.
template <class... Pieces>
std::string concat(const Pieces&... pieces) {
  std::string out;
  (detail::append_piece(out, pieces), ...);
  return out;
}

/// Throws Error("[op] pieces…"), with the module path appended when inside a module's forward.
template <class... Pieces>
[[noreturn]] TANDEM_NOINLINE void fail(std::string_view op, const Pieces&... pieces) {
  std::string message = concat("[", op, "] ", pieces...);
  if (const std::string& path = detail::module_path(); !path.empty()) {
    message += concat(" (in module ", path, ")");
  }
  throw Error(message);
}

TANDEM_NAMESPACE_END

/// TANDEM_CHECK(condition, "op", pieces…): throws Error with the pieces when the condition is
/// false.
#define TANDEM_CHECK(condition, ...) \
  do {                               \
    if (!(condition)) [[unlikely]]   \
      ::tandem::fail(__VA_ARGS__);   \
  } while (false)
