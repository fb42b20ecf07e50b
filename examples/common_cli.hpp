#pragma once
/// What the example programs share on their command line: options with suggestions, a JSON config
/// file, tables, and a progress bar with the time that is left.
///
///     int main(int argc, char** argv) {
///       CLI::App app("What the program does.", "name");
///       int epochs = 10;
///       app.add_option("--epochs", epochs, "Passes over the data")->capture_default_str();
///       cli::add_config(app);
///       return cli::run(app, argc, argv, [&] { … });
///     }

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <istream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli_process.hpp"
#include "option_values.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/utf8.hpp"

namespace cli {

/// A name, label or message from a file as it may go to a terminal, its control characters written
/// out:
/// std::printf("%s\n", cli::printable(video.id).c_str()). Table, Progress and run() do so with all
/// that they are given.
using tandem::io::printable;

// ---------------------------------------------------------------- options

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
    const std::string_view best = tandem::io::closest_word(name, names);
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
    return tandem::concat("'", given, "' is none of ", list,
                          tandem::io::did_you_mean(given, words));
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

/// What is wrong with where a program would write, or "": a file that another option reads or writes
/// as well would be lost.
inline std::string clash_of_outputs(const CLI::App& app) {
  namespace fs = std::filesystem;
  const auto same = [](const std::string& a, const std::string& b) {
    std::error_code error;
    if (fs::exists(a, error) || fs::exists(b, error)) return fs::equivalent(a, b, error);
    return fs::absolute(a, error).lexically_normal() == fs::absolute(b, error).lexically_normal();
  };
  for (const CLI::Option* output : app.get_options()) {
    if (output->count() == 0 || !is_output(*output)) continue;
    for (const CLI::Option* other : app.get_options()) {
      if (other == output) continue;
      for (const std::string& value : other->results()) {
        // Words and numbers are no files; what is read is there, what is written may not be.
        std::error_code error;
        if ((is_output(*other) || fs::is_regular_file(value, error)) &&
            same(value, output->results()[0])) {
          return tandem::concat(output->get_name(), " and ", other->get_name(), " name one file, ",
                                value, ": it would be overwritten");
        }
      }
    }
  }
  return "";
}

/// Number of characters (not bytes) of UTF-8 text.
inline std::size_t text_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

/// Text broken into lines of at most `width` characters at spaces, continued at column `indent`.
inline std::string wrap(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = indent;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    const std::size_t needed = text_width(word);
    if (column > indent && column + 1 + needed > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += needed;
  }
  return out;
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
        document.root().error("unknown key \"", key, "\"", tandem::io::did_you_mean(name, known));
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
      if (value.json().is_array() && is_list(option)) {
        for (const auto& element : value.array())
          item.inputs.push_back(words(value.of(element), kind));
        if (item.inputs.empty()) value.error("expected at least one value, found an empty list");
      } else {
        item.inputs.push_back(words(value, kind));
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

/// Parses the command line and runs the program. Exit status: 0 when `body` returns, 1 when it
/// throws (the message goes to stderr) or the standard output cannot be written, 2 for a wrong
/// command line, 128 + n when `body` throws Stopped because of signal n.
template <class Body>
int run(CLI::App& app, int argc, char** argv, const Body& body) {
  const std::string name = app.get_name();
  prepare_process(name);
  app.formatter(std::make_shared<HelpFormatter>());
  const auto error_line = [&](const std::string& message) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: error: %s\n", name.c_str(), printable(message).c_str());
    return 1;
  };
  const auto usage = [&](const std::string& message) {
    std::fprintf(stderr, "%s: %s\n%s --help explains the options.\n", name.c_str(),
                 printable(message).c_str(), name.c_str());
    return 2;
  };
  try {
    if (const std::string unknown = unknown_option(app, argc, argv); !unknown.empty()) {
      return usage(unknown);
    }
    make_strict(app);
    app.parse(argc, argv);
    if (const std::string clash = clash_of_outputs(app); !clash.empty()) return usage(clash);
  } catch (const CLI::Success& help) {
    const int status = app.exit(help);
    try {
      flush_output();
      return status;
    } catch (const std::exception& error) {
      return error_line(error.what());
    }
  } catch (const CLI::ParseError& error) {
    return usage(error.what());
  } catch (const std::exception& error) {  // a config file
    return usage(error.what());
  }
  try {
    body();
    flush_output();
    return 0;
  } catch (const Stopped& stop) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: stopped by %s%s%s\n", name.c_str(), stop.name().c_str(),
                 *stop.what() != '\0' ? ": " : "", printable(stop.what()).c_str());
    return 128 + stop.signal();
  } catch (const std::exception& error) {
    return error_line(error.what());
  }
}

/// printf's "%.*f": fixed(40.83, 1) == "40.8".
inline std::string fixed(double value, int digits) {
  char buffer[64];
  const int n = std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return n > 0 && n < static_cast<int>(sizeof buffer) ? std::string(buffer) : std::string("?");
}

/// A fraction in per cent: percent(0.408) == "40.80".
inline std::string percent(double fraction, int digits = 2) {
  return fixed(100 * fraction, digits);
}

/// "0.4 s", "42 s", "3:05", "2:03:05".
inline std::string duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  if (seconds < 9.95) return fixed(seconds, 1) + " s";
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  const auto two = [](long n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (whole < 3600) return std::to_string(whole / 60) + ":" + two(whole % 60);
  return std::to_string(whole / 3600) + ":" + two(whole / 60 % 60) + ":" + two(whole % 60);
}

// ---------------------------------------------------------------- tables

/// A table in plain text: the first column to the left, the others to the right.
///   cli::Table table({"tIoU", "0.5", "0.75"});
///   table.row({"mAP %", "41.20", "25.03"});
///   table.print();
class Table {
 public:
  explicit Table(std::vector<std::string> header) { row(std::move(header)); }
  Table& row(std::vector<std::string> cells) {
    for (std::string& cell : cells) cell = printable(cell);
    rows_.push_back(std::move(cells));
    return *this;
  }

  std::string str() const {
    std::vector<std::size_t> widths;
    for (const auto& cells : rows_) {
      if (cells.size() > widths.size()) widths.resize(cells.size());
      for (std::size_t c = 0; c < cells.size(); ++c) {
        widths[c] = std::max(widths[c], text_width(cells[c]));
      }
    }
    std::string out;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      for (std::size_t c = 0; c < rows_[r].size(); ++c) {
        const std::string padding(widths[c] - text_width(rows_[r][c]), ' ');
        if (c > 0) out += "  " + padding;
        out += rows_[r][c];
        if (c == 0 && rows_[r].size() > 1) out += padding;
      }
      out += '\n';
      if (r == 0) {
        std::size_t total = widths.empty() ? 0 : 2 * (widths.size() - 1);
        for (std::size_t width : widths) total += width;
        out += std::string(total, '-') + "\n";
      }
    }
    return out;
  }
  void print(std::FILE* file = stdout) const {
    const std::string text = str();
    std::fwrite(text.data(), 1, text.size(), file);
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

// ---------------------------------------------------------------- progress

/// One line: "warm-up [=====>    ]  120/200  0:42 left  loss 0.31".
/// `seconds` were spent on the last `done − first` of `total` steps; the rest is estimated from
/// them.
inline std::string progress_line(std::string_view label, std::size_t done, std::size_t total,
                                 std::size_t first, double seconds, std::string_view note) {
  constexpr std::size_t width = 24;
  done = std::min(done, total);
  const std::size_t filled = total == 0 ? width : done * width / total;
  std::string bar(width, ' ');
  std::fill_n(bar.begin(), filled, '=');
  if (filled < width && done > 0) bar[filled] = '>';
  const std::string count = std::to_string(done);
  const std::string all = std::to_string(total);
  std::string line(label);
  line += " [" + bar + "]  " + std::string(all.size() - std::min(all.size(), count.size()), ' ') +
          count + "/" + all + "  ";
  if (done >= total) {
    line += duration(seconds);
  } else if (done > first) {
    const double each = seconds / static_cast<double>(done - first);
    line += duration(each * static_cast<double>(total - done)) + " left";
  } else {
    line += "starting";
  }
  if (!note.empty()) {
    line += "  ";
    line += note;
  }
  return line;
}

/// Shows how far a loop is, on stderr: a bar that is redrawn on a terminal, a line every 15 seconds
/// into a file or pipe.
///   cli::Progress progress("warm-up", steps);
///   for (…) progress.update(step + 1, "loss " + cli::fixed(loss, 3));
///   progress.finish();
class Progress {
 public:
  /// `first`: steps done before, by an earlier run; they do not count for the time.
  Progress(std::string label, std::size_t total, std::size_t first = 0, std::FILE* file = stderr)
      : label_(printable(label)),
        total_(total),
        first_(first),
        file_(file),
        terminal_(::isatty(::fileno(file)) != 0) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { leave_line(); }

  void update(std::size_t done, std::string_view note = "") {
    done_ = done;
    note_ = printable(note);
    const Clock::time_point now = Clock::now();
    const double pause = terminal_ ? 0.1 : 15.0;
    if (std::chrono::duration<double>(now - drawn_).count() < pause) return;
    draw(now);
  }

  /// Shows the last state and ends the line.
  void finish(std::string_view note = "") {
    if (!note.empty()) note_ = printable(note);
    draw(Clock::now());
    leave_line();
  }

  /// Prints a line above the bar.
  void print(const std::string& line) {
    if (terminal_) std::fputs("\r\x1b[K", file_);
    std::fprintf(file_, "%s\n", printable(line).c_str());
    if (open_) draw(Clock::now());
  }

 private:
  using Clock = std::chrono::steady_clock;

  void draw(Clock::time_point now) {
    drawn_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::string line = progress_line(label_, done_, total_, first_, seconds, note_);
    std::fprintf(file_, terminal_ ? "\r\x1b[K%s" : "%s\n", line.c_str());
    std::fflush(file_);
    open_ = terminal_;
  }
  void leave_line() {
    if (std::exchange(open_, false)) std::fputc('\n', file_);
  }

  std::string label_;
  std::size_t total_;
  std::size_t first_;
  std::FILE* file_;
  bool terminal_;
  std::size_t done_ = 0;
  std::string note_;
  bool open_ = false;  // a bar stands on the current line of the terminal
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_ = start_;
};

}  // namespace cli
