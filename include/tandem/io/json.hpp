#pragma once
/// JSON: values, parser and writer of nlohmann-json, with the limits that untrusted files need.
///
/// The library reads RFC 8259 and checks UTF-8; integers of 64 bits stay integers, and
/// floating-point numbers survive a round trip bit for bit. Decided here, because it leaves them
/// open: objects keep the order of their keys (evaluators break ties by file order), a key may
/// appear once, nesting and size are bounded, and NaN and infinity are refused when written too.
/// Link tandem::io for the include path.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/file.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// A JSON value whose objects keep the order of their keys; a key is found by walking over them.
///
///     io::Json j = io::Json::object();
///     j["name"] = "cbp";
///     j["scores"].push_back(0.5);
///     io::json_text(j) == R"({"name":"cbp","scores":[0.5]})";   // → true
///
/// Values are made with parentheses: Json{x} is an array of x.
using Json = nlohmann::ordered_json;

/// What a JSON text may cost before it is refused.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 30;  ///< of the text
  std::size_t max_depth = 64;                    ///< of arrays and objects inside each other
};

/// What stands before a text in its file, whole lines: messages count from the file's beginning.
struct JsonStart {
  std::size_t lines = 0, bytes = 0;
};

namespace detail {

/// Hands a text to the parser and tells how far it has read.
class JsonCursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  JsonCursor(const char* at, const char** read) : at_(at), read_(read) {}
  reference operator*() const { return *at_; }
  JsonCursor& operator++() {
    *read_ = ++at_;
    return *this;
  }
  JsonCursor operator++(int) {
    const JsonCursor before = *this;
    ++*this;
    return before;
  }
  bool operator==(const JsonCursor& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** read_;
};

/// Makes a value of the parser's events. nlohmann's own would look for every new key among all
/// before it, keep the last of two equal keys, and nest without bound.
class JsonBuilder final : public nlohmann::json_sax<Json> {
 public:
  JsonBuilder(std::string_view text, std::string_view name, const JsonLimits& limits,
              const JsonStart& start)
      : text_(text), name_(name), limits_(limits), start_(start), read_(text.data()) {}

  Json build() {
    TANDEM_CHECK(text_.size() <= limits_.max_bytes, "json", name_, ": the text has ", text_.size(),
                 " bytes, at most ", limits_.max_bytes, " are expected here");
    // To the parser a zero byte is the end of the text, whatever follows it.
    if (const std::size_t zero = text_.find('\0'); zero != text_.npos) {
      error_at(zero, "expected JSON, found a zero byte");
    }
    Json::sax_parse(JsonCursor(text_.data(), &read_),
                    JsonCursor(text_.data() + text_.size(), &read_), this);
    return std::move(root_);
  }

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }  // no text has such values
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool key(string_t& name) override {
    open_.back().members.push_back({std::move(name), Json(), offset()});
    return true;
  }
  bool end_object() override {
    std::vector<Member> members = std::move(open_.back().members);
    open_.pop_back();
    refuse_duplicates(members);
    Json::object_t object;
    object.reserve(members.size());  // growing would copy every value: the keys are const
    for (Member& member : members)
      object.emplace_back(std::move(member.key), std::move(member.value));
    return add(Json(std::move(object)));
  }
  bool end_array() override {
    Json::array_t items = std::move(open_.back().items);
    open_.pop_back();
    return add(Json(std::move(items)));
  }
  bool parse_error(std::size_t position, const std::string& token,
                   const Json::exception& e) override {
    const std::size_t at = position > 0 ? position - 1 : 0;  // the parser counts from 1
    const std::string shown = token.substr(0, 40) + (token.size() > 40 ? "…" : "");
    if (e.id == 406) error_at(at, "the number ", shown, " is too large for a double");
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …"
    std::string message = e.what();
    for (const char* mark : {"] ", ": "}) {
      if (const std::size_t end = message.find(mark); end != message.npos)
        message.erase(0, end + 2);
    }
    if (const std::size_t found = message.find(token); token.size() > 40 && found != message.npos) {
      message.replace(found, token.size(), shown);
    }
    error_at(at, message);
  }

 private:
  struct Member {
    std::string key;
    Json value;
    std::size_t end;  // of the key in the text
  };
  /// An array or an object that has not ended.
  struct Open {
    std::vector<Member> members;  // of an object; none before its first key
    Json::array_t items;          // of an array
  };

  template <class... Pieces>
  [[noreturn]] void error_at(std::size_t offset, const Pieces&... pieces) const {
    const std::string_view before = text_.substr(0, offset);
    const std::size_t last_line = before.rfind('\n');  // npos + 1 is 0
    const auto lines = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
    fail("json", name_, ":", start_.lines + lines + 1, ":", before.size() - (last_line + 1) + 1,
         " (byte ", start_.bytes + offset, "): ", pieces...);
  }
  std::size_t offset() const { return static_cast<std::size_t>(read_ - text_.data()); }

  bool open() {
    if (open_.size() >= limits_.max_depth) {
      error_at(offset() - 1, "nested deeper than ", limits_.max_depth, " levels");
    }
    open_.emplace_back();
    return true;
  }
  bool add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (!open_.back().members.empty()) {
      open_.back().members.back().value = std::move(value);
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }
  void refuse_duplicates(const std::vector<Member>& members) const {
    if (members.size() < 2) return;
    std::vector<const Member*> sorted;
    for (const Member& member : members) sorted.push_back(&member);
    std::sort(sorted.begin(), sorted.end(), [](const Member* a, const Member* b) {
      const int order = a->key.compare(b->key);
      return order != 0 ? order < 0 : a->end < b->end;
    });
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (sorted[i - 1]->key != sorted[i]->key) continue;
      error_at(start_of_string(sorted[i]->end), "the key \"", sorted[i]->key.substr(0, 80),
               "\" appears twice in one object");
    }
  }
  /// Where the string that ends before `end` starts: at the first quote before it that is not
  /// escaped.
  std::size_t start_of_string(std::size_t end) const {
    for (std::size_t at = end - 1; at-- > 0;) {
      if (text_[at] != '"') continue;
      std::size_t slashes = 0;
      while (slashes < at && text_[at - slashes - 1] == '\\') ++slashes;
      if (slashes % 2 == 0) return at;
    }
    return 0;
  }

  std::string_view text_, name_;
  JsonLimits limits_;
  JsonStart start_;
  const char* read_;  // the parser's place in the text
  std::vector<Open> open_;
  Json root_;
};

inline void check_writable(const Json& value, int depth) {
  constexpr int deepest = 1000;  // the writer calls itself for every level
  TANDEM_CHECK(depth <= deepest, "json", "a value nested deeper than ", deepest,
               " levels cannot be written");
  TANDEM_CHECK(!value.is_number_float() || is_finite(value.get<double>()), "json",
               "NaN and infinity cannot be written as JSON");
  if (!value.is_structured()) return;
  for (const Json& inner : value) check_writable(inner, depth + 1);
}

}  // namespace detail

/// Parses a text; `name` is what messages call it.
/// Errors: "[json] gt.json:2:7 (byte 15): syntax error while parsing value - unexpected '}';
/// expected …".
inline Json parse_json(std::string_view text, std::string_view name = "<text>",
                       const JsonLimits& limits = {}, const JsonStart& start = {}) {
  return detail::JsonBuilder(text, name, limits, start).build();
}

/// Parses a file. For a file whose contents are then checked key by key see JsonDocument.
inline Json load_json(const std::string& path, const JsonLimits& limits = {}) {
  const auto file = MappedFile::open(path);
  return parse_json(file->text(), path, limits);
}

/// The text of a value; `indent` < 0 gives one line. Unlike Json::dump() it refuses NaN and
/// infinity, which JSON cannot hold, with an Error, and strings that are not UTF-8 as well.
inline std::string json_text(const Json& value, int indent = -1) {
  detail::check_writable(value, 0);
  try {
    return value.dump(indent);
  } catch (const Json::exception& e) {
    const std::string message = e.what();  // "[json.exception.type_error.316] invalid UTF-8 byte …"
    fail("json", "the value cannot be written: ", message.substr(message.find("] ") + 2));
  }
}

/// Writes a value as a file, atomically, with a final new line.
inline void save_json(const std::string& path, const Json& value, int indent = 2) {
  write_text(path, json_text(value, indent) + "\n");
}

}  // namespace io
TANDEM_NAMESPACE_END
