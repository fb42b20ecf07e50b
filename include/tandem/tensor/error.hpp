#pragma once
/// One exception type and one voice for every message: "[op] what is wrong: what was given".

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
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

/// The one that says that a GPU has no memory left: what asked for it may do with less.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

namespace detail {

/// The path of the module being run on this thread ("blocks.0.attn"); nn::ModuleScope maintains it.
inline std::string& module_path() {
  thread_local std::string path;
  return path;
}

/// The fewest digits that read back as the same number, laid out as Python does: 0.1, 1e-06,
/// 1e+300.
template <class V>
TANDEM_NOINLINE void append_number(std::string& out, V value) {
  const V magnitude = value < 0 ? -value : value;
  const bool plain = magnitude == 0 || (magnitude >= V(1e-4) && magnitude < V(1e16));
  const bool special = !(magnitude - magnitude == 0);  // "inf", "nan"
  char text[32];
  const auto end =
      std::to_chars(text, text + sizeof text, value,
                    plain || special ? std::chars_format::fixed : std::chars_format::scientific);
  out.append(text, end.ptr);
}

/// A part of a message that forgot its type, so that what joins and throws is compiled once and not
/// for every list of types that some message has: programs with hundreds of checks are built
/// faster. Refers to its value.
class MessagePiece {
 public:
  MessagePiece(std::string_view text) : append_(append_text) {
    value_.text = {text.data(), text.size()};
  }
  MessagePiece(const char* text) : MessagePiece(std::string_view(text)) {}
  MessagePiece(const std::string& text) : MessagePiece(std::string_view(text)) {}
  MessagePiece(bool value) : MessagePiece(std::string_view(value ? "true" : "false")) {}
  MessagePiece(char value) : append_(append_char) { value_.character = value; }
  MessagePiece(float value) : append_(append_float) { value_.single = value; }
  MessagePiece(double value) : append_(append_double) { value_.real = value; }
  MessagePiece(long double value) : MessagePiece(static_cast<double>(value)) {}
  template <class V>
  requires(std::is_integral_v<V>&& std::is_signed_v<V>) MessagePiece(V value)
      : append_(append_signed) {
    value_.integer = value;
  }
  template <class V>
  requires(std::is_integral_v<V>&& std::is_unsigned_v<V>) MessagePiece(V value)
      : append_(append_unsigned) {
    value_.natural = value;
  }
  /// Anything with .str(): Shape, DType, Device.
  template <class V>
  requires requires(const V& v) {
    { v.str() } -> std::convertible_to<std::string>;
  }
  MessagePiece(const V& value)
      : append_([](std::string& out, const Value& v) {
          out += static_cast<const V*>(v.object)->str();
        }) {
    value_.object = &value;
  }

  void append_to(std::string& out) const { append_(out, value_); }

 private:
  union Value {
    struct {
      const char* data;
      std::size_t size;
    } text;
    char character;
    float single;
    double real;
    long long integer;
    unsigned long long natural;
    const void* object;
  };
  static void append_text(std::string& out, const Value& v) {
    out.append(v.text.data, v.text.size);
  }
  static void append_char(std::string& out, const Value& v) { out += v.character; }
  static void append_float(std::string& out, const Value& v) { append_number(out, v.single); }
  static void append_double(std::string& out, const Value& v) { append_number(out, v.real); }
  static void append_signed(std::string& out, const Value& v) { out += std::to_string(v.integer); }
  static void append_unsigned(std::string& out, const Value& v) {
    out += std::to_string(v.natural);
  }

  void (*append_)(std::string&, const Value&);
  Value value_;
};

TANDEM_NOINLINE inline std::string join_pieces(const MessagePiece* first,
                                               const MessagePiece* last) {
  std::string out;
  for (; first != last; ++first) first->append_to(out);
  return out;
}

[[noreturn]] TANDEM_NOINLINE inline void fail_with(std::string_view op, const MessagePiece* first,
                                                   const MessagePiece* last) {
  std::string message = "[";
  message.append(op).append("] ").append(join_pieces(first, last));
  if (const std::string& path = module_path(); !path.empty())
    message.append(" (in module ").append(path).append(")");
  throw Error(message);
}

}  // namespace detail

/// Joins strings, numbers and anything with `.str()` (Shape, DType, Device) into one string.
template <class... Pieces>
std::string concat(const Pieces&... pieces) {
  if constexpr (sizeof...(Pieces) == 0) {
    return {};
  } else {
    const detail::MessagePiece all[] = {detail::MessagePiece(pieces)...};
    return detail::join_pieces(all, all + sizeof...(Pieces));
  }
}

/// Throws Error("[op] pieces…"), with the module path appended when inside a module's forward.
template <class... Pieces>
[[noreturn]] TANDEM_NOINLINE void fail(std::string_view op, const Pieces&... pieces) {
  if constexpr (sizeof...(Pieces) == 0) {
    detail::fail_with(op, nullptr, nullptr);
  } else {
    const detail::MessagePiece all[] = {detail::MessagePiece(pieces)...};
    detail::fail_with(op, all, all + sizeof...(Pieces));
  }
}

/// What is done with a warning: a line on the standard error stream, unless a program puts its own
/// function here (null: nothing is done). Set it before other threads run.
///
///   warning_handler() = [](const std::string& message) { std::puts(message.c_str()); };
inline void (*&warning_handler())(const std::string&) {
  static void (*handler)(const std::string&) = [](const std::string& message) {
    std::fprintf(stderr, "tandem: warning: %s\n", message.c_str());
  };
  return handler;
}

/// "[op] pieces…" to the warning handler: for what is no error, and hardly ever meant.
template <class... Pieces>
TANDEM_NOINLINE void warn(std::string_view op, const Pieces&... pieces) {
  if (warning_handler() != nullptr) warning_handler()(concat("[", op, "] ", pieces...));
}

TANDEM_NAMESPACE_END

/// TANDEM_CHECK(condition, "op", pieces…): throws Error with the pieces when the condition is
/// false.
#define TANDEM_CHECK(condition, ...) \
  do {                               \
    if (!(condition)) [[unlikely]]   \
      ::tandem::fail(__VA_ARGS__);   \
  } while (false)
