#pragma once
/// Typed reading of a JSON file: every error names the file and the path of the value,
/// "gt.json: database.video_7.annotations[2].label: expected a string, found null".

#include <optional>

#include "tandem/io/json.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

/// The candidate nearest to a misspelt word, or "" when none is near (a third of its letters, or a
/// candidate that starts with the word).
template <class Words>
std::string_view closest_word(std::string_view word, const Words& candidates) {
  std::string_view best;
  word = word.substr(0, 64);
  std::size_t best_distance = word.size() / 3 + 2;
  for (const auto& item : candidates) {
    const std::string_view candidate(item);
    std::size_t distance = edit_distance(word, candidate.substr(0, 128));
    if (word.size() >= 3 && candidate.starts_with(word)) distance = std::min<std::size_t>(distance, 1);
    if (distance < best_distance && distance < candidate.size()) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

/// "; did you mean \"x\"?" or "", to end an error message with.
template <class Words>
std::string did_you_mean(std::string_view word, const Words& candidates) {
  const std::string_view best = closest_word(word, candidates);
  return best.empty() ? std::string() : concat("; did you mean \"", best, "\"?");
}

class JsonDocument;

/// A value inside a JsonDocument, which must outlive it. Cheap to copy.
class JsonRef {
 public:
  JsonRef(const JsonDocument& document, const Json& value) : document_(&document), value_(&value) {}

  const Json& json() const { return *value_; }
  std::size_t size() const { return value_->size(); }
  bool is_null() const { return value_->is_null(); }

  /// The value of a key that must exist, or an element that must exist.
  JsonRef at(std::string_view key) const {
    const Json* value = object().find(key);
    if (value == nullptr) {
      std::vector<std::string_view> keys;
      for (const auto& member : value_->members()) keys.push_back(member.key);
      error("the key \"", key, "\" is missing", did_you_mean(key, keys));
    }
    return {*document_, *value};
  }
  JsonRef at(std::size_t index) const {
    if (index >= array().size()) error("expected at least ", index + 1, " elements, found ", size());
    return {*document_, array()[index]};
  }
  JsonRef operator[](std::string_view key) const { return at(key); }
  JsonRef operator[](std::size_t index) const { return at(index); }

  /// The value of a key that may be missing; null counts as missing.
  std::optional<JsonRef> find(std::string_view key) const {
    const Json* value = object().find(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return JsonRef(*document_, *value);
  }

  bool boolean() const {
    if (!value_->is_boolean()) wrong("true or false");
    return value_->as_boolean();
  }
  std::int64_t integer(std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                       std::int64_t high = std::numeric_limits<std::int64_t>::max()) const {
    if (!value_->is_integer()) wrong("an integer");
    const std::int64_t value = value_->as_integer();
    if (value < low || value > high) {
      error("expected an integer from ", low, " to ", high, ", found ", value);
    }
    return value;
  }
  double number() const {
    if (!value_->is_number()) wrong("a number");
    return value_->as_number();
  }
  /// A number, or a string that holds one ("18.6"): files of the field have both.
  double number_or_text() const {
    if (!value_->is_string()) return number();
    const std::string_view text = value_->as_string();
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() ||
        !std::isfinite(value)) {
      wrong("a number");
    }
    return value;
  }
  const std::string& string() const {
    if (!value_->is_string()) wrong("a string");
    return value_->as_string();
  }

  /// The elements of an array / the members of an object, in file order.
  const Json::Array& array() const {
    if (!value_->is_array()) wrong("an array");
    return value_->as_array();
  }
  const std::vector<Json::Member>& members() const { return object().members(); }
  JsonRef of(const Json& inner) const { return {*document_, inner}; }

  /// Options: the value of a key, or `fallback` when the key is missing or null.
  bool get(std::string_view key, bool fallback) const {
    const auto value = find(key);
    return value ? value->boolean() : fallback;
  }
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  I get(std::string_view key, I fallback) const {
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
    for (const auto& member : members()) {
      bool known = false;
      for (const auto& word : allowed) known = known || std::string_view(word) == member.key;
      if (!known) error("unknown key \"", member.key, "\"", did_you_mean(member.key, allowed));
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
  const Json& object() const {
    if (!value_->is_object()) wrong("an object");
    return *value_;
  }
  [[noreturn]] void wrong(const char* expected) const {
    std::string found = value_->kind_name();
    if (value_->is_string()) found += concat(" \"", value_->as_string().substr(0, 40), "\"");
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
///     const int epochs = doc.root().get("epochs", 10);
class JsonDocument {
 public:
  JsonDocument(std::string name, Json json) : name_(std::move(name)), json_(std::move(json)) {}
  static JsonDocument load(const std::string& path, const JsonLimits& limits = {}) {
    return {path, load_json(path, limits)};
  }
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
      if (find_path(from.as_array()[i], target, path)) return true;
      path.resize(length);
    }
  } else if (from.is_object()) {
    for (const Json::Member& member : from.members()) {
      path += concat(length == 0 ? "" : ".", member.key);
      if (find_path(member.value, target, path)) return true;
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
