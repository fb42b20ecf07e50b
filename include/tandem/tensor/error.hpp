#pragma once
/// One exception type and one voice for every message: "[op] what is wrong: what was given".

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
template <class V>
  requires(std::is_arithmetic_v<V>)
void append_piece(std::string& out, V value) {
  if constexpr (std::is_floating_point_v<V>) {
    // std::to_string prints six decimals; trim the zeros that carry nothing.
    std::string text = std::to_string(value);
    while (text.size() > 1 && text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
    out += text;
  } else {
    out += std::to_string(value);
  }
}
template <class V>
  requires requires(const V& v) { { v.str() } -> std::convertible_to<std::string>; }
void append_piece(std::string& out, const V& value) {
  out += value.str();
}

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

/// TANDEM_CHECK(condition, "op", pieces…): throws Error with the pieces when the condition is false.
#define TANDEM_CHECK(condition, ...)                      \
  do {                                                    \
    if (!(condition)) [[unlikely]] ::tandem::fail(__VA_ARGS__); \
  } while (false)
