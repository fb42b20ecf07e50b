#pragma once
/// JSON: a value, a strict bounded parser, a writer, and a reader that names the place of an error.
///
/// Objects keep the order of their keys (evaluators break ties by file order), integers stay
/// integers, and floating-point numbers survive a round trip bit for bit. The parser accepts RFC 8259
/// and nothing more; duplicate keys, NaN, bad UTF-8 and deep nesting are errors with line and column.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/file.hpp"
#include "tandem/io/utf8.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// A JSON value of 16 bytes.
///
///     io::Json j = io::Json::object();
///     j["name"] = "cbp";
///     j["scores"].push_back(0.5);
///     j.dump();                        // {"name":"cbp","scores":[0.5]}
class Json {
 public:
  enum class Kind : std::uint8_t { null, boolean, integer, real, string, array, object };
  using Array = std::vector<Json>;
  struct Member;

  Json() = default;
  Json(std::nullptr_t) {}  // NOLINT: values convert
  template <std::same_as<bool> B>
  Json(B value) : kind_(Kind::boolean) {
    boolean_ = value;
  }
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  Json(I value) : kind_(Kind::integer) {
    TANDEM_CHECK(std::in_range<std::int64_t>(value), "json", "the integer does not fit 64 bits");
    integer_ = static_cast<std::int64_t>(value);
  }
  template <std::floating_point F>
  Json(F value) : kind_(Kind::real) {
    real_ = static_cast<double>(value);
  }
  Json(std::string value) : kind_(Kind::string) { string_ = new std::string(std::move(value)); }
  Json(std::string_view value) : Json(std::string(value)) {}
  Json(const char* value) : Json(std::string(value)) {}
  Json(Array value) : kind_(Kind::array) { array_ = new Array(std::move(value)); }
  template <class V>
    requires(!std::same_as<V, Json>)
  Json(const std::vector<V>& values) : Json(Array(values.begin(), values.end())) {}

  Json(const Json& other);
  Json(Json&& other) noexcept { swap(other); }
  Json& operator=(Json other) noexcept {
    swap(other);
    return *this;
  }
  ~Json() { clear(); }
  void swap(Json& other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(integer_, other.integer_);
  }

  static Json array() { return Json(Array()); }
  static Json object();

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  bool is_boolean() const { return kind_ == Kind::boolean; }
  bool is_integer() const { return kind_ == Kind::integer; }
  bool is_number() const { return kind_ == Kind::integer || kind_ == Kind::real; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_object() const { return kind_ == Kind::object; }
  /// "a string", "an object" …, for messages.
  const char* kind_name() const {
    constexpr const char* names[] = {"null",     "a boolean", "an integer", "a number",
                                     "a string", "an array",  "an object"};
    return names[static_cast<int>(kind_)];
  }

  bool as_boolean() const {
    expect(Kind::boolean, "a boolean");
    return boolean_;
  }
  std::int64_t as_integer() const {
    expect(Kind::integer, "an integer");
    return integer_;
  }
  double as_number() const {
    if (kind_ == Kind::integer) return static_cast<double>(integer_);
    expect(Kind::real, "a number");
    return real_;
  }
  const std::string& as_string() const {
    expect(Kind::string, "a string");
    return *string_;
  }
  const Array& as_array() const {
    expect(Kind::array, "an array");
    return *array_;
  }
  Array& as_array() {
    expect(Kind::array, "an array");
    return *array_;
  }
  /// The members of an object in file (insertion) order.
  const std::vector<Member>& members() const;

  /// Elements of an array, members of an object, 0 for anything else.
  std::size_t size() const;
  /// The value of a key, or nullptr. O(log n).
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  /// The value of a key, which must exist.
  const Json& at(std::string_view key) const {
    const Json* value = find(key);
    TANDEM_CHECK(value != nullptr, "json", "there is no key \"", key, "\"");
    return *value;
  }
  const Json& at(std::size_t index) const {
    const Array& values = as_array();
    TANDEM_CHECK(index < values.size(), "json", "there is no element ", index, " in an array of ",
                 values.size());
    return values[index];
  }
  /// The value of a key, created when missing; null becomes an object.
  Json& operator[](std::string_view key);
  Json& operator[](const char* key) { return (*this)[std::string_view(key)]; }
  /// Appends to an array; null becomes an array.
  void push_back(Json value) {
    if (kind_ == Kind::null) *this = array();
    as_array().push_back(std::move(value));
  }

  bool operator==(const Json& other) const;

  /// Text; `indent` < 0 gives one line. NaN and infinity have no JSON form and are refused.
  std::string dump(int indent = -1) const {
    std::string out;
    write(out, indent, 0);
    return out;
  }

 private:
  friend class JsonParser;
  struct Object;

  void expect(Kind kind, const char* what) const {
    TANDEM_CHECK(kind_ == kind, "json", "expected ", what, ", found ", kind_name());
  }
  void clear() noexcept;
  void write(std::string& out, int indent, int depth) const;
  void write_array(std::string& out, int indent, int depth) const;
  static void write_string(std::string& out, std::string_view text);
  static void new_line(std::string& out, int indent, int depth) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(depth), ' ');
  }

  Kind kind_ = Kind::null;
  union {
    bool boolean_;
    std::int64_t integer_ = 0;
    double real_;
    std::string* string_;
    Array* array_;
    Object* object_;
  };
};

struct Json::Member {
  std::string key;
  Json value;
  bool operator==(const Member& other) const = default;
};

struct Json::Object {
  std::vector<Member> members;
  std::vector<std::uint32_t> sorted;  // members by key, for find

  /// Where `key` is or belongs in `sorted`.
  std::size_t place(std::string_view key) const {
    const auto less = [&](std::uint32_t i, std::string_view k) { return members[i].key < k; };
    const auto it = std::lower_bound(sorted.begin(), sorted.end(), key, less);
    return static_cast<std::size_t>(it - sorted.begin());
  }
  bool found(std::size_t at, std::string_view key) const {
    return at < sorted.size() && members[sorted[at]].key == key;
  }
};

inline Json Json::object() {
  Json out;
  out.object_ = new Object;
  out.kind_ = Kind::object;
  return out;
}

inline Json::Json(const Json& other) : kind_(other.kind_), integer_(other.integer_) {
  if (other.kind_ == Kind::string) string_ = new std::string(*other.string_);
  if (other.kind_ == Kind::array) array_ = new Array(*other.array_);
  if (other.kind_ == Kind::object) object_ = new Object(*other.object_);
}

inline void Json::clear() noexcept {
  if (kind_ == Kind::string) delete string_;
  if (kind_ == Kind::array) delete array_;
  if (kind_ == Kind::object) delete object_;
  kind_ = Kind::null;
}

inline const std::vector<Json::Member>& Json::members() const {
  expect(Kind::object, "an object");
  return object_->members;
}

inline std::size_t Json::size() const {
  if (kind_ == Kind::array) return array_->size();
  return kind_ == Kind::object ? object_->members.size() : 0;
}

inline const Json* Json::find(std::string_view key) const {
  expect(Kind::object, "an object");
  const std::size_t at = object_->place(key);
  return object_->found(at, key) ? &object_->members[object_->sorted[at]].value : nullptr;
}

inline Json& Json::operator[](std::string_view key) {
  if (kind_ == Kind::null) *this = object();
  expect(Kind::object, "an object");
  const std::size_t at = object_->place(key);
  if (!object_->found(at, key)) {
    object_->members.push_back({std::string(key), Json()});
    object_->sorted.insert(object_->sorted.begin() + static_cast<std::ptrdiff_t>(at),
                           static_cast<std::uint32_t>(object_->members.size() - 1));
  }
  return object_->members[object_->sorted[at]].value;
}

inline bool Json::operator==(const Json& other) const {
  if (is_number() && other.is_number() && kind_ != other.kind_) {
    return as_number() == other.as_number();
  }
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::null: return true;
    case Kind::boolean: return boolean_ == other.boolean_;
    case Kind::integer: return integer_ == other.integer_;
    case Kind::real: return real_ == other.real_;
    case Kind::string: return *string_ == *other.string_;
    case Kind::array: return *array_ == *other.array_;
    case Kind::object: break;
  }
  // Key order carries no meaning.
  if (size() != other.size()) return false;
  for (const Member& member : members()) {
    const Json* twin = other.find(member.key);
    if (twin == nullptr || !(*twin == member.value)) return false;
  }
  return true;
}

inline void Json::write_string(std::string& out, std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += digits[c >> 4];
          out += digits[c & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

inline void Json::write_array(std::string& out, int indent, int depth) const {
  // Arrays of plain values stay on one line: a segment reads as [12.3, 45.6].
  const bool tall = indent >= 0 && std::any_of(array_->begin(), array_->end(),
                                               [](const Json& j) { return j.size() > 0; });
  out += '[';
  for (std::size_t i = 0; i < array_->size(); ++i) {
    if (i > 0) out += indent < 0 || tall ? "," : ", ";
    if (tall) new_line(out, indent, depth + 1);
    (*array_)[i].write(out, indent, depth + 1);
  }
  if (tall) new_line(out, indent, depth);
  out += ']';
}

inline void Json::write(std::string& out, int indent, int depth) const {
  char buffer[32];
  switch (kind_) {
    case Kind::null: out += "null"; return;
    case Kind::boolean: out += boolean_ ? "true" : "false"; return;
    case Kind::integer:
      out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, integer_).ptr);
      return;
    case Kind::real: {
      TANDEM_CHECK(std::isfinite(real_), "json", "NaN and infinity cannot be written as JSON");
      const char* end = std::to_chars(buffer, buffer + sizeof buffer, real_).ptr;
      const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
      out += text;
      // Stay a real number when read again.
      if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
      return;
    }
    case Kind::string: write_string(out, *string_); return;
    case Kind::array:
      write_array(out, indent, depth);
      return;
    case Kind::object: break;
  }
  out += '{';
  bool first = true;
  for (const Member& member : members()) {
    if (!std::exchange(first, false)) out += ',';
    new_line(out, indent, depth + 1);
    write_string(out, member.key);
    out += indent < 0 ? ":" : ": ";
    member.value.write(out, indent, depth + 1);
  }
  if (size() > 0) new_line(out, indent, depth);
  out += '}';
}

/// What a JSON text may cost before it is refused.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 30;
  int max_depth = 64;
};

/// The recursive-descent parser; recursion is bounded by `max_depth`.
class JsonParser {
 public:
  JsonParser(std::string_view text, std::string_view name, const JsonLimits& limits)
      : text_(text), name_(name), limits_(limits) {
    TANDEM_CHECK(text.size() <= limits.max_bytes, "json", name, ": the text has ", text.size(),
                 " bytes, at most ", limits.max_bytes, " are expected here");
  }

  Json parse() {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;  // a byte-order mark written by an editor
    Json value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) error("expected the end of the file after the JSON value");
    return value;
  }

 private:
  template <class... Pieces>
  [[noreturn]] void error_at(std::size_t offset, const Pieces&... pieces) const {
    std::size_t line = 1, column = 1;
    for (std::size_t i = 0; i < offset && i < text_.size(); ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n';
    }
    fail("json", name_, ":", line, ":", column, ": ", pieces...);
  }
  template <class... Pieces>
  [[noreturn]] void error(const Pieces&... pieces) const {
    error_at(at_, pieces...);
  }

  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  void skip_space() {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' ||
                       text_[at_] == '\t')) {
      ++at_;
    }
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Json parse_value(int depth) {
    skip_space();
    if (done()) error("expected a value, found the end of the file");
    if (depth > limits_.max_depth) error("nested deeper than ", limits_.max_depth, " levels");
    switch (peek()) {
      case '{': return parse_object(depth);
      case '[': return parse_array(depth);
      case '"': return Json(parse_string());
      case 't':
        if (take("true")) return Json(true);
        break;
      case 'f':
        if (take("false")) return Json(false);
        break;
      case 'n':
        if (take("null")) return Json();
        break;
      default:
        if (peek() == '-' || (peek() >= '0' && peek() <= '9')) return parse_number();
    }
    error("expected a value (NaN, Infinity, comments and single quotes are not JSON)");
  }

  Json parse_array(int depth) {
    ++at_;
    Json::Array values;
    skip_space();
    if (take("]")) return Json(std::move(values));
    for (;;) {
      values.push_back(parse_value(depth + 1));
      skip_space();
      if (take("]")) return Json(std::move(values));
      if (!take(",")) error("expected ',' or ']' in an array");
    }
  }

  Json parse_object(int depth) {
    ++at_;
    Json out = Json::object();
    Json::Object& object = *out.object_;
    std::vector<std::size_t> offsets;  // of the keys, to point at a duplicate
    skip_space();
    if (!take("}")) {
      for (;;) {
        skip_space();
        offsets.push_back(at_);
        if (peek() != '"') error("expected a key in double quotes");
        std::string key = parse_string();
        skip_space();
        if (!take(":")) error("expected ':' after the key \"", key, "\"");
        object.members.push_back({std::move(key), parse_value(depth + 1)});
        skip_space();
        if (take("}")) break;
        if (!take(",")) error("expected ',' or '}' in an object");
      }
    }
    const std::vector<Json::Member>& members = object.members;
    object.sorted.resize(members.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
      object.sorted[i] = static_cast<std::uint32_t>(i);
    }
    std::sort(object.sorted.begin(), object.sorted.end(), [&](std::uint32_t a, std::uint32_t b) {
      const int order = members[a].key.compare(members[b].key);
      return order != 0 ? order < 0 : a < b;
    });
    for (std::size_t i = 1; i < members.size(); ++i) {
      const std::uint32_t second = object.sorted[i];
      if (members[object.sorted[i - 1]].key == members[second].key) {
        error_at(offsets[second], "the key \"", members[second].key, "\" appears twice");
      }
    }
    return out;
  }

  Json parse_number() {
    const std::size_t start = at_;
    const auto digits = [&] {
      if (peek() < '0' || peek() > '9') error("expected a digit");
      while (peek() >= '0' && peek() <= '9') ++at_;
    };
    bool real = false;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
      if (peek() >= '0' && peek() <= '9') error("a number cannot start with 0");
    } else {
      digits();
    }
    if (peek() == '.') {
      real = true;
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      real = true;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const char* first = text_.data() + start;
    const char* last = text_.data() + at_;
    if (!real) {
      std::int64_t value = 0;
      if (std::from_chars(first, last, value).ec == std::errc()) return Json(value);
    }
    double value = 0;
    if (std::from_chars(first, last, value).ec != std::errc()) {
      // Out of range: tiny numbers are zero, huge ones have no value. from_chars does not say which.
      value = std::strtod(std::string(first, last).c_str(), nullptr);
      if (!std::isfinite(value)) error_at(start, "the number is too large for a double");
    }
    return Json(value);
  }

  std::string parse_string() {
    const std::size_t start = at_++;
    std::string out;
    for (;;) {
      std::size_t plain = at_;
      while (plain < text_.size() && is_plain(text_[plain])) ++plain;
      out.append(text_, at_, plain - at_);
      at_ = plain;
      if (done()) error_at(start, "the string does not end");
      const unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '\\') {
        ++at_;
        parse_escape(out);
      } else if (c < 0x20) {
        error("a control character inside a string must be written as an escape");
      } else {
        parse_utf8(out);
      }
    }
  }

  static bool is_plain(char c) {
    const unsigned char u = static_cast<unsigned char>(c);
    return u >= 0x20 && u < 0x80 && u != '"' && u != '\\';
  }

  void parse_utf8(std::string& out) {
    std::uint32_t code = 0;
    const std::size_t length = decode_utf8(text_.substr(at_), code);
    if (length == 0) error("the text is not valid UTF-8");
    out.append(text_, at_, length);
    at_ += length;
  }

  void parse_escape(std::string& out) {
    const char c = peek();
    ++at_;
    switch (c) {
      case '"': out += '"'; return;
      case '\\': out += '\\'; return;
      case '/': out += '/'; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': break;
      default: --at_; error("unknown escape in a string");
    }
    unsigned code = parse_hex();
    if (code >= 0xD800 && code < 0xDC00) {
      const unsigned low = take("\\u") ? parse_hex() : 0;
      if (low < 0xDC00 || low > 0xDFFF) error("a \\u surrogate has no second half");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
      error("a \\u surrogate has no first half");
    }
    append_utf8(out, code);
  }

  unsigned parse_hex() {
    unsigned code = 0;
    const std::string_view four = text_.substr(at_, 4);
    const auto result = std::from_chars(four.data(), four.data() + four.size(), code, 16);
    if (four.size() != 4 || result.ptr != four.data() + 4) error("expected four hexadecimal digits");
    at_ += 4;
    return code;
  }

  std::string_view text_;
  std::string_view name_;
  JsonLimits limits_;
  std::size_t at_ = 0;
};

/// Parses a text; `name` is what messages call it.
inline Json parse_json(std::string_view text, std::string_view name = "<text>",
                       const JsonLimits& limits = {}) {
  return JsonParser(text, name, limits).parse();
}

/// Parses a file. For a file whose contents are then checked key by key see JsonDocument.
inline Json load_json(const std::string& path, const JsonLimits& limits = {}) {
  const auto file = MappedFile::open(path);
  return parse_json(file->text(), path, limits);
}

/// Writes a value as a file, atomically, with a final new line.
inline void save_json(const std::string& path, const Json& value, int indent = 2) {
  write_text(path, value.dump(indent) + "\n");
}

}  // namespace io
TANDEM_NAMESPACE_END
