#pragma once
/// One option of a table: its name, type, default, range and help, and the variable that holds it.

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

/// A condition on the other options, and how one fulfils it: "--cbp transformer".
struct When {
  std::string words;
  std::function<bool()> holds;
};

/// One option: what it is called, what it may be, and the variable that holds it.
class TableOption {
 public:
  using Variable = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*,
                                std::vector<double>*, std::vector<std::string>*>;

  TableOption(Part part, std::string name, Variable variable, std::string help)
      : part_(part), name_(std::move(name)), variable_(variable), help_(std::move(help)) {
    default_ = json();
  }

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
    default_ = json();
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

  /// Says something only then.
  TableOption& only(When when) {
    when_ = std::move(when);
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
  /// What is given from here on is from a config file.
  void command_line_ends() { typed_ = given(); }
  /// Whether the command line gave it; a config file may hold what is for other runs.
  bool typed() const { return typed_.value_or(given()); }
  /// Whether it says something beside the other options.
  bool says_something() const { return !when_.holds || when_.holds(); }
  /// True where the command line gave it another value than its default, which says nothing beside
  /// the other options.
  bool idle() const { return typed() && !says_something() && json() != default_; }
  /// Where it says something; "" for everywhere.
  const std::string& where() const { return when_.words; }
  /// "--width 64", as the command line has it.
  std::string text() const {
    const Json value = json();
    if (is_flag()) return "--" + name_;
    return tandem::concat(
        "--", name_, " ",
        value.is_string() ? value.get<std::string>() : tandem::io::json_text(value));
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
  /// The option of the command line; null before add_to.
  const CLI::Option* cli_option() const { return option_; }
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
  Json default_;
  When when_;
  std::optional<bool> typed_;  // on the command line, where a config file may give it too
  bool opposite_ = false, path_ = false, may_grow_ = false, recorded_ = true;
  std::vector<std::string> words_;
  std::vector<Json> alternatives_;
  CLI::Option* option_ = nullptr;
};

}  // namespace cli
