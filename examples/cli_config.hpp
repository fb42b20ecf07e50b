#pragma once
/// The options of a program as a JSON file: --config FILE.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <functional>
#include <istream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "option_values.hpp"
#include "tandem/io/json_reader.hpp"

namespace cli {

/// A JSON object as config file: keys are long option names, with '-' or '_'.
/// {"epochs": 20, "learning-rate": 1e-4, "thresholds": [0.3, 0.45], "quiet": true}
/// The command line wins over the file. A value has the type of its option: "20" is no integer and
/// "" is not true. A key that is no option is an error with a suggestion; "version" says which
/// program wrote the file.
class JsonConfig : public CLI::Config {
 public:
  /// What a file holds → what it means; for files of older programs.
  using Translate = std::function<tandem::io::Json(const tandem::io::JsonRef&)>;

  explicit JsonConfig(const CLI::App* app, Translate translate = {})
      : app_(app), translate_(std::move(translate)) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const std::string text{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
    auto document = tandem::io::JsonDocument::parse(text, file_name());
    if (translate_) document = tandem::io::JsonDocument(file_name(), translate_(document.root()));
    std::vector<std::string> known;
    for (const CLI::Option* option : app_->get_options()) {
      if (!option->get_configurable() || option == app_->get_config_ptr()) continue;
      for (const std::string& name : option->get_lnames()) known.push_back(name);
    }
    std::vector<CLI::ConfigItem> given;
    std::vector<std::string> seen;
    for (const auto& [key, json] : document.root().members()) {
      std::string name = key;
      std::replace(name.begin(), name.end(), '_', '-');
      const tandem::io::JsonRef value = document.root().of(json);
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        if (name == "version") continue;
        document.root().error("unknown key \"", key, "\"", tandem::did_you_mean(name, known));
      }
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
        value.error("the option was already given with another spelling");
      }
      seen.push_back(name);
      if (value.is_null()) continue;  // null: as if it were not there
      const CLI::Option& option = *app_->get_option("--" + name);
      const ValueKind kind = kind_of(option);
      CLI::ConfigItem item;
      item.name = name;
      // Lists of which several are tried ("FLOAT+FLOAT"): [0.45, [0.3, 0.45]] are two of them.
      const bool lists = option.get_type_name().find('+') != std::string::npos;
      const auto words = [&](const tandem::io::JsonRef& one) {
        return lists ? joined(one) : JsonConfig::words(one, kind);
      };
      if (value.json().is_array() && is_list(option)) {
        for (const auto& element : value.array()) item.inputs.push_back(words(value.of(element)));
        if (item.inputs.empty()) value.error("expected at least one value, found an empty list");
      } else {
        item.inputs.push_back(words(value));
      }
      given.push_back(std::move(item));
    }
    return given;
  }

  /// The options in effect, as a config file that gives them again.
  std::string to_config(const CLI::App* app, bool, bool, std::string) const override {
    tandem::io::Json root = tandem::io::Json::object();
    for (const CLI::Option* option : app->get_options()) {
      if (!option->get_configurable() || option->count() == 0 || option->get_lnames().empty()) {
        continue;
      }
      tandem::io::Json::array_t values;
      for (const std::string& text : option->results())
        values.push_back(typed(text, kind_of(*option)));
      root[option->get_lnames()[0]] =
          is_list(*option) ? tandem::io::Json(std::move(values)) : values.back();
    }
    return tandem::io::json_text(root, 2) + "\n";
  }

 private:
  std::string file_name() const {
    const CLI::Option* option = app_->get_config_ptr();
    return option != nullptr && option->count() > 0 ? option->results()[0] : "config";
  }
  /// A value as CLI11 wants it; the text of a number reads back as the same number.
  static std::string words(const tandem::io::JsonRef& value, ValueKind kind) {
    switch (kind) {
      case ValueKind::flag:
        return value.boolean() ? "true" : "false";
      case ValueKind::integer:
        return number_text(value.integer());
      case ValueKind::natural:
        if (!value.json().is_number_unsigned() && value.integer() < 0) {
          value.error("expected an integer that is not negative, found ", value.integer());
        }
        return number_text(value.json().get<std::uint64_t>());
      case ValueKind::real:
        return number_text(value.number());
      default:
        return value.string();
    }
  }
  /// One list of numbers as the command line has it: 0.45, [0.3, 0.45] and "0.3+0.45" are one each.
  static std::string joined(const tandem::io::JsonRef& value) {
    if (value.json().is_string()) return value.string();
    if (!value.json().is_array()) return number_text(value.number());
    std::string out;
    for (const auto& element : value.array())
      out += (out.empty() ? "" : "+") + number_text(value.of(element).number());
    if (out.empty()) value.error("expected at least one value, found an empty list");
    return out;
  }
  static tandem::io::Json typed(const std::string& text, ValueKind kind) {
    std::int64_t integer = 0;
    std::uint64_t natural = 0;
    double real = 0;
    if (kind == ValueKind::flag) return text == "true" || text == "1";
    if (kind == ValueKind::integer && read_number(text, integer).empty()) return integer;
    if (kind == ValueKind::natural && read_number(text, natural).empty()) return natural;
    if (kind == ValueKind::real && read_number(text, real).empty()) return real;
    return text;
  }

  const CLI::App* app_;
  Translate translate_;
};

/// Adds "--config FILE", a JSON file of options.
inline void add_config(CLI::App& app, JsonConfig::Translate translate = {}) {
  app.set_config("--config", "",
                 "JSON file with options by their long names; the command line wins");
  app.config_formatter(std::make_shared<JsonConfig>(&app, std::move(translate)));
}

}  // namespace cli
