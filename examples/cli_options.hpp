#pragma once
/// Options of a command line: suggestions for unknown ones, choices, files that are written, and
/// their help. Parsing is CLI11's.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli_text.hpp"
#include "option_values.hpp"
#include "tandem/io/file.hpp"

namespace cli {

/// The long option names of a program, with dashes: "--help", "--epochs" …
inline std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// "unknown option --epoch; did you mean --epochs?" for the first argument that looks like a long
/// option and is none, else "". Everything behind a lone "--" is a value.
inline std::string unknown_option(const CLI::App& app, int argc, const char* const* argv) {
  const std::vector<std::string> names = option_names(app);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument == "--") break;
    if (!argument.starts_with("--")) continue;
    const std::string_view name = argument.substr(0, argument.find('='));
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string_view best = tandem::closest_word(name, names);
    return tandem::concat("unknown option ", name,
                          best.empty() ? "" : tandem::concat("; did you mean ", best, "?"));
  }
  return "";
}

/// An option with a fixed set of values; a wrong value is answered with the nearest.
///   cli::add_choice(app, "--kind", kind, {"mean", "sum"}, "How to reduce");
inline CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& value,
                               std::vector<std::string> words, const std::string& description) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : "|") + word;
  const auto check = [words = std::move(words), list](const std::string& given) {
    if (std::find(words.begin(), words.end(), given) != words.end()) return std::string();
    return tandem::concat("'", given, "' is none of ", list, tandem::did_you_mean(given, words));
  };
  return app.add_option(name, value, description)->type_name(list)->check(check);
}

/// A file that the program writes in the end: that it can be is looked at before the work, not
/// after it.
inline CLI::Option* add_output(CLI::App& app, const std::string& name, std::string& value,
                               const std::string& description) {
  const auto check = [](const std::string& given) {
    try {
      tandem::io::check_output_file("write", given);
    } catch (const tandem::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  return app.add_option(name, value, description)->check(check, "", "output");
}
/// Whether the option was made by add_output.
inline bool is_output(const CLI::Option& option) {
  try {
    (void)const_cast<CLI::Option&>(option).get_validator("output");
    return true;
  } catch (const CLI::OptionNotFound&) {
    return false;
  }
}

/// Whether two paths name one file, through links as well; of files that are not there, whether
/// they will.
inline bool same_file(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::exists(a, error) || fs::exists(b, error)) return fs::equivalent(a, b, error);
  return fs::absolute(a, error).lexically_normal() == fs::absolute(b, error).lexically_normal();
}

/// Whether programs read a file of this name where they are given its folder: rows, weights,
/// videos, images, annotations, and what a run leaves behind.
inline bool is_read_from_folders(const std::filesystem::path& file) {
  const auto one_of = [](const std::string& word, std::initializer_list<std::string_view> list) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  std::string extension = file.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return one_of(extension,
                {".npy", ".npz", ".safetensors", ".gz", ".txt", ".jsonl", ".pkl", ".png", ".jpg",
                 ".jpeg", ".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg"}) ||
         one_of(file.filename().string(),
                {"gt.json", "class_tokens.json", "options.json", "detections.json", "metrics.csv",
                 "config.json", "open_clip_config.json"}) ||
         file.filename().string().ends_with(".index.json");
}

/// What `input`, a file or folder that a program reads, has to lose where it writes `output`: the
/// file itself, one in that folder or below it, or one beside it in the folder of a run; "" for
/// nothing.
inline std::string lost_input(const std::string& output, const std::string& input) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_regular_file(output, error)) return "";
  if (fs::is_regular_file(input, error) && same_file(output, input)) return output;
  if (!is_read_from_folders(output)) return "";
  const fs::path real = fs::canonical(output, error), from = fs::canonical(input, error);
  if (real.empty() || from.empty()) return "";
  if (fs::is_directory(from, error)) {
    const auto [at, rest] = std::mismatch(from.begin(), from.end(), real.begin(), real.end());
    return at == from.end() ? output : "";
  }
  const bool of_run = fs::exists(from.parent_path() / "checkpoint.safetensors", error);
  return of_run && real.parent_path() == from.parent_path() ? output : "";
}

/// Refuses to write `outputs` where that would replace what is read: `inputs`, files and folders;
/// for programs that write several files into a folder. Before the work.
inline void check_outputs(const char* program, const std::vector<std::string>& outputs,
                          const std::vector<std::string>& inputs) {
  for (const std::string& output : outputs) {
    tandem::io::check_output_file(program, output);
    for (const std::string& input : inputs) {
      if (input.empty()) continue;
      const std::string lost = lost_input(output, input);
      TANDEM_CHECK(lost.empty(), program, lost, " would be overwritten, which ", input,
                   " names or holds and this program reads; write elsewhere");
    }
  }
}

/// What is wrong with where a program would write, or "": a file that another option reads or
/// writes as well, or that lies in a folder which is read, would be lost.
inline std::string clash_of_outputs(const CLI::App& app) {
  for (const CLI::Option* output : app.get_options()) {
    if (output->count() == 0 || !is_output(*output)) continue;
    const std::string& file = output->results()[0];
    for (const CLI::Option* other : app.get_options()) {
      if (other == output || kind_of(*other) != ValueKind::text) continue;
      for (const std::string& value : other->results()) {
        if (is_output(*other)) {
          if (same_file(value, file)) {
            return tandem::concat(output->get_name(), " and ", other->get_name(),
                                  " name one file, ", value, ": it would be overwritten");
          }
          continue;
        }
        // Words and numbers are no files; what is read is there.
        if (lost_input(file, value).empty()) continue;
        std::error_code error;
        if (std::filesystem::is_regular_file(value, error) && same_file(value, file)) {
          return tandem::concat(output->get_name(), " and ", other->get_name(), " name one file, ",
                                value, ": it would be overwritten");
        }
        return tandem::concat(output->get_name(), " names ", file, ", a file of what ",
                              other->get_name(), " reads, ", value, ": it would be overwritten");
      }
    }
  }
  return "";
}

/// What is wrong with an option that was given several times, or "": one that takes a single value
/// may be given once; a flag, as often as it says the same.
///   "--seed was given 2 times, with the values 1 and 2; it may be given once"
inline std::string repeated_option(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string>& values = option->results();
    if (is_list(*option) || values.size() < 2) continue;
    const bool one = std::equal(values.begin() + 1, values.end(), values.begin());
    if (one && kind_of(*option) == ValueKind::flag) continue;
    std::string list;
    for (std::size_t i = 0; i < values.size(); ++i) {
      list += tandem::concat(i == 0                  ? ""
                             : i + 1 < values.size() ? ", "
                                                     : " and ",
                             shown(values[i]));
    }
    return tandem::concat(option->get_name(), " was given ", values.size(),
                          " times, with the values ", list, "; it may be given once");
  }
  return "";
}

/// Help with the description of an option wrapped beside (or, after a long name, under) its name.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool positional) const override {
    constexpr std::size_t indent = 30, width = 98;
    std::string out = "  " + make_option_name(option, positional) + make_option_opts(option);
    out += out.size() + 2 <= indent ? std::string(indent - out.size(), ' ')
                                    : "\n" + std::string(indent, ' ');
    return out + wrap(make_option_desc(option), indent, width) + "\n";
  }
};

}  // namespace cli
