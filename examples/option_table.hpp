#pragma once
/// A table that declares every option of a program once: name, type, default, range, help, and the
/// part of the program it belongs to. The command line, the config file, options.json, the
/// checkpoint and --help are all made from it, so an option means the same everywhere. Values
/// travel typed: true, 0.001, [0.3, 0.45].
///
///     cli::OptionTable table;
///     table.part(cli::Part::training);
///     table.add("batch", o.batch, "Videos per step").from(1, 4096);      // all that one needs
///     table.add_to(app);                                                 // --batch INT
///     table.json();                                                      // {"batch": 10}

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "option_values.hpp"
#include "tandem/io/json_reader.hpp"

namespace cli {

using tandem::io::Json;

/// What an option decides.
enum class Part { data, model, training, inference, running };

inline const char* part_name(Part part) {
  constexpr const char* names[] = {"Data", "Model", "Training", "Inference", "Running"};
  return names[static_cast<int>(part)];
}

/// One option: what it is called, what it may be, and the variable that holds it.
class TableOption {
 public:
  using Variable = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*,
                                std::vector<double>*, std::vector<std::string>*>;

  TableOption(Part part, std::string name, Variable variable, std::string help)
      : part_(part), name_(std::move(name)), variable_(variable), help_(std::move(help)) {}

  // ---- what the table says of it

  /// low ≤ x ≤ high, for numbers and each number of a list.
  TableOption& from(double low, double high) {
    low_ = low, high_ = high;
    return *this;
  }
  /// One of these words.
  TableOption& words(std::vector<std::string> list) {
    words_ = std::move(list);
    return *this;
  }
  /// The name says the opposite of the variable: "no-min-max" is true when `normalize` is false.
  TableOption& opposite() {
    opposite_ = true;
    return *this;
  }
  /// A path: says where something is, not what. Made absolute; it may change between runs that are
  /// the same.
  TableOption& path() {
    path_ = true;
    return *this;
  }
  /// A number of steps or rounds, which a resumed run may raise.
  TableOption& may_grow() {
    may_grow_ = true;
    return *this;
  }
  /// Says how this process starts, not what it computes: written nowhere.
  TableOption& not_recorded() {
    recorded_ = false;
    return *this;
  }

  Part part() const { return part_; }
  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  bool grows() const { return may_grow_; }
  bool is_path() const { return path_; }
  bool recorded() const { return recorded_; }
  bool is_flag() const { return std::holds_alternative<bool*>(variable_); }
  bool is_opposite() const { return opposite_; }
  bool is_list() const {
    return std::holds_alternative<std::vector<double>*>(variable_) ||
           std::holds_alternative<std::vector<std::string>*>(variable_);
  }
  /// Decides the result of a run, so that a checkpoint carries it.
  bool decides() const { return recorded_ && !path_ && part_ != Part::running; }

  // ---- values

  Json json() const {
    return std::visit(
        [&](const auto* value) {
          if constexpr (std::is_same_v<decltype(value), const bool*>) {
            return Json(*value != opposite_);
          } else {
            return Json(*value);
          }
        },
        variable_);
  }

  /// Takes a value of a JSON file. Errors name the file and the key.
  void set(const tandem::io::JsonRef& ref) {
    std::string wrong;
    std::visit([&](auto* value) { wrong = take(ref, *value); }, variable_);
    if (!wrong.empty()) ref.error(wrong);
  }
  void set(const Json& value) {
    const tandem::io::JsonDocument document("the option " + name_, value);
    set(document.root());
  }
  /// Takes words of the command line. Returns what is wrong with them, or "".
  std::string set_words(const std::vector<std::string>& given) {
    return std::visit([&](auto* value) { return take_words(given, *value); }, variable_);
  }

  /// The value that words, as an older program recorded them, stand for.
  Json from_words(const std::vector<std::string>& given, const tandem::io::JsonRef& where) {
    std::string wrong;
    Json value = value_of(given, wrong);
    if (!wrong.empty()) where.error(wrong);
    return value;
  }

  // ---- the command line

  /// "from 1 to 4096", or "" without from().
  std::string range_text() const {
    const bool integers = std::holds_alternative<std::int64_t*>(variable_);
    if (!low_) return "";
    const auto text = [&](double x) {
      return integers ? number_text(static_cast<std::int64_t>(x)) : number_text(x);
    };
    return tandem::concat("from ", text(*low_), " to ", text(*high_));
  }

  CLI::Option* add_to(CLI::App& app) {
    const auto check = [this](const std::string& wrong) {
      if (!wrong.empty()) throw CLI::ValidationError("--" + name_, wrong);
    };
    const std::string flag = "--" + name_;
    const std::string range = range_text();
    const std::string text = range.empty() ? help_ : tandem::concat(help_, " [", range, "]");
    if (is_flag()) {
      option_ = app.add_flag_function(
          flag, [this](std::int64_t n) { set(Json(n > 0)); }, text);
    } else if (is_list()) {
      option_ = app.add_option_function<std::vector<std::string>>(
          flag, [this, check](const std::vector<std::string>& given) { check(set_words(given)); },
          text);
      option_->delimiter(',');
    } else {
      option_ = app.add_option_function<std::string>(
          flag, [this, check](const std::string& given) { check(set_words({given})); }, text);
    }
    option_->group(part_name(part_));
    if (is_flag()) return option_;
    option_->type_name(type_name());
    const Json value = json();
    std::string shown = value.is_string() ? value.get<std::string>() : tandem::io::json_text(value);
    std::erase_if(shown, [](char c) { return c == '[' || c == ']'; });
    option_->default_str(shown);
    return option_;
  }
  /// As add_to, for a program that tries several values, one after the other: each word is one,
  /// held to the same type and range. Where the option is a list itself, + joins what belongs
  /// together: --theta-loc 0.45 0.3+0.45 are two values. The variable stays as it is;
  /// alternatives() has them.
  CLI::Option* add_alternatives_to(CLI::App& app) {
    const std::string range = range_text();
    const std::string joined = is_list() ? "; + joins what acts together" : "";
    option_ = app.add_option_function<std::vector<std::string>>(
        "--" + name_,
        [this](const std::vector<std::string>& given) {
          alternatives_.clear();
          for (const std::string& word : given) {
            std::string wrong;
            Json value = value_of(is_list() ? split(word, '+') : std::vector{word}, wrong);
            if (!wrong.empty()) throw CLI::ValidationError("--" + name_, wrong);
            if (std::find(alternatives_.begin(), alternatives_.end(), value) == alternatives_.end())
              alternatives_.push_back(std::move(value));
          }
        },
        tandem::concat(help_, joined, range.empty() ? "" : " [" + range + "]"));
    option_->delimiter(',');
    option_->group(part_name(part_));
    option_->type_name(is_list() ? tandem::concat(type_name(), "+", type_name()) : type_name());
    return option_;
  }
  /// What was given to be tried, each value once, in order; empty where nothing was.
  const std::vector<Json>& alternatives() const { return alternatives_; }
  /// Was it on the command line or in the config file?
  bool given() const { return option_ != nullptr && option_->count() > 0; }

 private:
  // What words stand for, the variable left as it was; `wrong` says what is wrong with them.
  Json value_of(const std::vector<std::string>& words, std::string& wrong) {
    const Json before = json();
    wrong = set_words(words);
    Json value = json();
    set(before);
    return value;
  }
  static std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts{""};
    for (const char c : text) {
      if (c == at) {
        parts.emplace_back();
      } else {
        parts.back() += c;
      }
    }
    return parts;
  }

  // JSON → variable.
  std::string take(const tandem::io::JsonRef& ref, bool& value) {
    value = ref.boolean() != opposite_;
    return "";
  }
  std::string take(const tandem::io::JsonRef& ref, std::int64_t& value) {
    return keep(ref.integer(), value);
  }
  std::string take(const tandem::io::JsonRef& ref, std::uint64_t& value) {
    if (!ref.json().is_number_unsigned() && ref.integer() < 0) {
      return tandem::concat("expected an integer from 0 to 18446744073709551615, found ",
                            ref.integer());
    }
    return keep(ref.json().get<std::uint64_t>(), value);
  }
  std::string take(const tandem::io::JsonRef& ref, double& value) {
    return keep(ref.number(), value);
  }
  std::string take(const tandem::io::JsonRef& ref, std::string& value) {
    return keep(ref.string(), value);
  }
  template <class T>
  std::string take(const tandem::io::JsonRef& ref, std::vector<T>& value) {
    std::vector<T> list;
    std::string wrong;
    const auto add = [&](const tandem::io::JsonRef& one) {
      T element{};
      if (wrong.empty()) wrong = take(one, element);
      list.push_back(std::move(element));
    };
    if (ref.json().is_array()) {
      for (const Json& one : ref.array()) add(ref.of(one));
    } else {
      add(ref);
    }
    if (list.empty()) wrong = "expected at least one value, found an empty list";
    if (wrong.empty()) value = std::move(list);
    return wrong;
  }

  // Words → variable.
  std::string take_words(const std::vector<std::string>& given, bool& value) {
    const bool on = !given.empty() && given[0] == "true";
    if (!on && (given.empty() || given[0] != "false"))
      return tandem::concat("expected true or false, got ", shown(given.empty() ? "" : given[0]));
    value = on != opposite_;
    return "";
  }
  template <class T>
  std::string take_words(const std::vector<std::string>& given, T& value) {
    if (given.empty()) return "expected a value";
    return take_word(given[0], value);
  }
  template <class T>
  std::string take_words(const std::vector<std::string>& given, std::vector<T>& value) {
    std::vector<T> list(given.size());
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (std::string wrong = take_word(given[i], list[i]); !wrong.empty()) return wrong;
    }
    if (list.empty()) return "expected at least one value";
    value = std::move(list);
    return "";
  }
  std::string take_word(const std::string& word, std::string& value) { return keep(word, value); }
  template <class N>
  requires(std::is_arithmetic_v<N>) std::string take_word(const std::string& word, N& value) {
    N number{};
    if (std::string wrong = read_number(word, number); !wrong.empty()) return wrong;
    return keep(number, value);
  }

  // A value of the right type → variable, if it is in range.
  template <class N>
  requires(std::is_arithmetic_v<N>) std::string keep(N number, N& value) {
    const auto x = static_cast<double>(number);
    if (low_ && (x < *low_ || x > *high_))
      return tandem::concat("must be ", range_text(), ", it is ", number_text(number));
    value = number;
    return "";
  }
  std::string keep(const std::string& word, std::string& value) {
    if (!words_.empty() && std::find(words_.begin(), words_.end(), word) == words_.end()) {
      return tandem::concat(shown(word), " is none of ", word_list(),
                            tandem::did_you_mean(word, words_));
    }
    value = word;
    return "";
  }

  std::string word_list() const {
    std::string list;
    for (const std::string& word : words_) {
      if (!word.empty()) list += (list.empty() ? "" : "|") + word;
    }
    return list;
  }
  std::string type_name() const {
    return std::visit([&](auto* value) { return type_name(*value); }, variable_);
  }
  static std::string type_name(std::int64_t) { return "INT"; }
  static std::string type_name(std::uint64_t) { return "UINT"; }
  static std::string type_name(double) { return "FLOAT"; }
  static std::string type_name(bool) { return ""; }
  std::string type_name(const std::string&) const {
    return words_.empty() ? (path_ ? "PATH" : "TEXT") : word_list();
  }
  template <class T>
  std::string type_name(const std::vector<T>&) const {
    return type_name(T{});
  }

  Part part_;
  std::string name_;
  Variable variable_;
  std::string help_;
  std::optional<double> low_, high_;
  bool opposite_ = false, path_ = false, may_grow_ = false, recorded_ = true;
  std::vector<std::string> words_;
  std::vector<Json> alternatives_;
  CLI::Option* option_ = nullptr;
};

/// The options of a program, in order.
class OptionTable {
 public:
  /// The part that the options added from here on belong to.
  void part(Part part) { part_ = part; }
  template <class T>
  TableOption& add(std::string name, T& variable, std::string help) {
    TANDEM_CHECK(find(name) == nullptr, "option table", "--", name, " is declared twice");
    options_.push_back(
        std::make_unique<TableOption>(part_, std::move(name), &variable, std::move(help)));
    return *options_.back();
  }

  const std::vector<std::unique_ptr<TableOption>>& options() const { return options_; }
  TableOption* find(std::string_view name) const {
    for (const auto& option : options_) {
      if (option->name() == name) return option.get();
    }
    return nullptr;
  }
  bool given(std::string_view name) const {
    const TableOption* option = find(name);
    return option != nullptr && option->given();
  }

  void add_to(CLI::App& app) {
    for (const auto& option : options_) option->add_to(app);
  }
  /// Those of one part only; help calls what holds without them `otherwise`. Of those that are
  /// named in `several`, several values may be tried.
  void add_to(CLI::App& app, Part part, const std::string& otherwise,
              std::span<const std::string_view> several = {}) {
    for (const auto& option : options_) {
      if (option->part() != part) continue;
      const bool try_several =
          std::find(several.begin(), several.end(), option->name()) != several.end();
      CLI::Option* added = try_several ? option->add_alternatives_to(app) : option->add_to(app);
      if (!option->is_flag()) added->default_str(otherwise);
    }
  }
  /// Those of these names.
  void add_to(CLI::App& app, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      TableOption* option = find(name);
      TANDEM_CHECK(option != nullptr, "option table", "there is no option --", name);
      option->add_to(app);
    }
  }

  /// Values by name: all that are recorded, or those that decide the result of a run. "version"
  /// says which program wrote them; a config file may hold it.
  Json json(bool deciding_only = false) const {
    Json root = Json::object();
    root["version"] = TANDEM_VERSION_STRING;
    for (const auto& option : options_) {
      if (deciding_only ? option->decides() : option->recorded())
        root[option->name()] = option->json();
    }
    return root;
  }

  /// Takes the values of an object that json() made, or of a part of it. Errors: an unknown key, a
  /// wrong type or range; each names the file.
  void read(const tandem::io::JsonRef& root) {
    for (const auto& [key, value] : root.members()) {
      if (key == "version" || value.is_null()) continue;
      known(root, key)->set(root.of(value));
    }
  }

  /// Older programs recorded all values as text, unset flags as "", and a flag that says "no"
  /// inverted. Such an object as a typed one; any other as it is. Theirs had every option, so an
  /// object with a few texts is somebody's own, whose texts in place of numbers and flags are
  /// refused.
  Json translated(const tandem::io::JsonRef& root) const {
    bool text = root.json().is_object() && root.size() > 0;
    if (text) {
      for (const auto& [key, value] : root.members())
        text = text && key != "version" && value.is_string();
    }
    std::size_t options = 0;
    for (const auto& option : options_) options += option->recorded() ? 1 : 0;
    if (2 * root.json().size() < options) return root.json();
    // A file of someone who only set options that are text is not meant.
    bool wrong = false;
    for (const auto& [key, value] : text ? root.members() : Json::object_t()) {
      const TableOption* option = find(key);
      wrong = wrong || (option != nullptr && !option->json().is_string());
    }
    if (!wrong) return root.json();
    Json out = Json::object();
    for (const auto& [key, value] : root.members()) {
      TableOption* option = known(root, key);
      std::vector<std::string> words;
      std::string word = value.get<std::string>();
      if (option->is_flag()) {
        if (!word.empty() && word != "true" && word != "false")
          root.of(value).error("expected \"\", \"true\" or \"false\"");
        // Unset: "". Set: "true", or "false" for the one whose name says "no".
        out[key] = !word.empty() && (word == "true") != option->is_opposite();
        continue;
      }
      if (option->is_list()) {  // "[0.3,0.45]" as a default, "0.3 0.45" as given
        std::string part;
        for (const char c : word + " ") {
          if (c != ' ' && c != ',' && c != '[' && c != ']') {
            part += c;
          } else if (!part.empty()) {
            words.push_back(std::exchange(part, {}));
          }
        }
      } else if (!word.empty() || option->json().is_string()) {
        words.push_back(word);
      }
      if (!words.empty()) out[key] = option->from_words(words, root.of(value));
    }
    return out;
  }

 private:
  TableOption* known(const tandem::io::JsonRef& root, const std::string& key) const {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    TableOption* option = find(name);
    if (option == nullptr || !option->recorded()) {
      std::vector<std::string> names;
      for (const auto& one : options_) names.push_back(one->name());
      root.error("unknown key \"", key.substr(0, 60), "\"", tandem::did_you_mean(name, names));
    }
    return option;
  }

  Part part_ = Part::running;
  std::vector<std::unique_ptr<TableOption>> options_;
};

}  // namespace cli
