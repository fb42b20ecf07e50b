#pragma once
/// Typed reading of a JSON file: every error names the file and the path of the value,
/// "gt.json: database.video_7.annotations[2].label: expected a string, found null".

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/json.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/tensor/suggest.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

class JsonDocument;

/// A value inside a JsonDocument, which must outlive it. Cheap to copy.
class JsonRef {
 public:
  JsonRef(const JsonDocument& document, const Json& value) : document_(&document), value_(&value) {}

  const Json& json() const { return *value_; }
  /// Elements of an array, members of an object, 0 for anything else.
  std::size_t size() const { return value_->is_structured() ? value_->size() : 0; }
  /// True for null.
  bool is_null() const { return value_->is_null(); }
  /// "a string", "an object" …, for messages.
  const char* kind_name() const {
    switch (value_->type()) {
      case Json::value_t::null:
        return "null";
      case Json::value_t::boolean:
        return "a boolean";
      case Json::value_t::number_integer:
      case Json::value_t::number_unsigned:
        return "an integer";
      case Json::value_t::number_float:
        return "a number";
      case Json::value_t::string:
        return "a string";
      case Json::value_t::array:
        return "an array";
      default:
        return "an object";
    }
  }

  /// The value of a key that must exist, or an element that must exist.
  JsonRef at(std::string_view key) const {
    const Json* value = lookup(key);
    if (value == nullptr) {
      std::vector<std::string_view> keys;
      for (const auto& [name, unused] : members()) keys.push_back(name);
      error("the key \"", key, "\" is missing", did_you_mean(key, keys));
    }
    return {*document_, *value};
  }
  JsonRef at(std::size_t index) const {
    if (index >= array().size())
      error("expected at least ", index + 1, " elements, found ", size());
    return {*document_, array()[index]};
  }
  JsonRef operator[](std::string_view key) const { return at(key); }
  JsonRef operator[](std::size_t index) const { return at(index); }

  /// The value of a key that may be missing; null counts as missing.
  std::optional<JsonRef> find(std::string_view key) const {
    const Json* value = lookup(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return JsonRef(*document_, *value);
  }

  /// True or false. Errors: anything else.
  bool boolean() const {
    if (!value_->is_boolean()) wrong("true or false");
    return value_->get<bool>();
  }
  /// An integer between low and high. Errors: a fraction, another type, out of range.
  std::int64_t integer(std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                       std::int64_t high = std::numeric_limits<std::int64_t>::max()) const {
    if (!value_->is_number_integer()) wrong("an integer");
    const auto refuse = [&](auto value) {
      error("expected an integer from ", low, " to ", high, ", found ", value);
    };
    if (value_->is_number_unsigned()) {
      const auto value = value_->get<std::uint64_t>();
      if (!std::in_range<std::int64_t>(value)) refuse(value);
    }
    const auto value = value_->get<std::int64_t>();
    if (value < low || value > high) refuse(value);
    return value;
  }
  /// A number. Errors: anything else.
  double number() const {
    if (!value_->is_number()) wrong("a number");
    return value_->get<double>();
  }
  /// A number, or a string that holds one ("18.6"): files of the field have both.
  double number_or_text() const {
    if (!value_->is_string()) return number();
    const std::string_view text = string();
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || !is_finite(value)) {
      wrong("a number");
    }
    return value;
  }
  /// A string. Errors: anything else.
  const std::string& string() const {
    if (!value_->is_string()) wrong("a string");
    return value_->get_ref<const std::string&>();
  }

  /// The elements of an array / the members of an object, in file order.
  const Json::array_t& array() const {
    if (!value_->is_array()) wrong("an array");
    return value_->get_ref<const Json::array_t&>();
  }
  /// Pairs of a key and a value.
  const Json::object_t& members() const {
    if (!value_->is_object()) wrong("an object");
    return value_->get_ref<const Json::object_t&>();
  }
  /// A value inside this one, for messages that name the document.
  JsonRef of(const Json& inner) const { return {*document_, inner}; }

  /// Options: the value of a key, or `fallback` when the key is missing or null.
  bool get(std::string_view key, bool fallback) const {
    const auto value = find(key);
    return value ? value->boolean() : fallback;
  }
  template <std::integral I>
  requires(!std::same_as<I, bool>) I get(std::string_view key, I fallback)
  const {
    const auto value = find(key);
    if (!value) return fallback;
    const std::int64_t number = value->integer();
    if (!std::in_range<I>(number)) value->error("the integer ", number, " is out of range");
    return static_cast<I>(number);
  }
  template <std::floating_point F>
  F get(std::string_view key, F fallback) const {
    const auto value = find(key);
    return value ? static_cast<F>(value->number()) : fallback;
  }
  std::string get(std::string_view key, const std::string& fallback) const {
    const auto value = find(key);
    return value ? value->string() : fallback;
  }
  std::string get(std::string_view key, const char* fallback) const {
    return get(key, std::string(fallback));
  }

  /// Refuses keys outside the list, with a suggestion: a misspelt option must not do nothing.
  template <class Words>
  void only_keys(const Words& allowed) const {
    for (const auto& [key, unused] : members()) {
      bool known = false;
      for (const auto& word : allowed) known = known || std::string_view(word) == key;
      if (!known) error("unknown key \"", key, "\"", did_you_mean(key, allowed));
    }
  }
  void only_keys(std::initializer_list<const char*> allowed) const {
    only_keys<std::initializer_list<const char*>>(allowed);
  }

  /// Throws an Error that names the file and this value's path.
  template <class... Pieces>
  [[noreturn]] void error(const Pieces&... pieces) const;
  /// "database.video_7.annotations[2]"; empty for the root.
  std::string path() const;

 private:
  const Json* lookup(std::string_view key) const {
    for (const auto& [name, value] : members()) {
      if (name == key) return &value;
    }
    return nullptr;
  }
  [[noreturn]] void wrong(const char* expected) const {
    std::string found = kind_name();
    if (value_->is_string()) found += concat(" \"", string().substr(0, 40), "\"");
    error("expected ", expected, ", found ", found);
  }
  static bool find_path(const Json& from, const Json& target, std::string& path);

  const JsonDocument* document_;
  const Json* value_;
};

/// A parsed file with its name.
///
///     const auto doc = io::JsonDocument::load("config.json");
///     doc.root().only_keys({"epochs", "seed"});
///     const int epochs = doc.root().get("epochs", 10);   // → 3
class JsonDocument {
 public:
  JsonDocument(std::string name, Json json) : name_(std::move(name)), json_(std::move(json)) {}
  static JsonDocument load(const std::string& path, const JsonLimits& limits = {}) {
    return {path, load_json(path, limits)};
  }
  /// The document of a text; `name` is for messages.
  static JsonDocument parse(std::string_view text, const std::string& name,
                            const JsonLimits& limits = {}) {
    return {name, parse_json(text, name, limits)};
  }

  const std::string& name() const { return name_; }
  const Json& json() const { return json_; }
  JsonRef root() const { return {*this, json_}; }

 private:
  std::string name_;
  Json json_;
};

inline bool JsonRef::find_path(const Json& from, const Json& target, std::string& path) {
  if (&from == &target) return true;
  const std::size_t length = path.size();
  if (from.is_array()) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      path += concat("[", i, "]");
      if (find_path(from[i], target, path)) return true;
      path.resize(length);
    }
  } else if (from.is_object()) {
    for (const auto& [key, value] : from.get_ref<const Json::object_t&>()) {
      path += concat(length == 0 ? "" : ".", key);
      if (find_path(value, target, path)) return true;
      path.resize(length);
    }
  }
  return false;
}

// Found by searching when an error is reported, so that reading costs nothing.
inline std::string JsonRef::path() const {
  std::string path;
  find_path(document_->json(), *value_, path);
  return path;
}

template <class... Pieces>
void JsonRef::error(const Pieces&... pieces) const {
  const std::string where = path();
  fail("json", document_->name(), ": ", where, where.empty() ? "" : ": ", pieces...);
}

}  // namespace io
TANDEM_NAMESPACE_END
