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
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "table_option.hpp"

namespace cli {

/// Options that were given and say nothing beside the others, by where they would say something.
class IdleOptions {
 public:
  void add(const std::string& where, const std::string& text) {
    const auto same = [&](const auto& group) { return group.first == where; };
    const auto group = std::find_if(groups_.begin(), groups_.end(), same);
    if (group == groups_.end()) {
      groups_.emplace_back(where, text);
    } else {
      group->second += ", " + text;
    }
  }
  /// "given, but of no effect on `what`: --width 64 (counts with --cbp transformer)"; "" where all
  /// counts.
  std::string sentence(const std::string& what) const {
    std::string list;
    for (const auto& [where, names] : groups_)
      list += (list.empty() ? "" : "; ") + names + " (counts with " + where + ")";
    return list.empty() ? "" : "given, but of no effect on " + what + ": " + list;
  }

 private:
  std::vector<std::pair<std::string, std::string>> groups_;  // where → the options
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

  /// Called when a config file is read, after the command line.
  void command_line_ends() {
    for (const auto& option : options_) option->command_line_ends();
  }
  /// What the command line says without effect beside the other options, in a sentence; "" where
  /// all counts.
  std::string idle() const {
    IdleOptions out;
    for (const auto& option : options_) {
      if (option->idle()) out.add(option->where(), option->text());
    }
    return out.sentence("what this run trains and finds");
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
