#pragma once
/// What the example programs share on their command line: options with suggestions
/// (cli_options.hpp), a JSON config file (cli_config.hpp), tables (cli_table.hpp), a progress bar
/// with the time that is left (cli_progress.hpp); and how a program runs.
///
///     int main(int argc, char** argv) {
///       CLI::App app("What the program does.", "name");
///       int epochs = 10;
///       app.add_option("--epochs", epochs, "Passes over the data")->capture_default_str();
///       cli::add_config(app);
///       return cli::run(app, argc, argv, [&] { … });
///     }

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "cli_config.hpp"
#include "cli_options.hpp"
#include "cli_process.hpp"
#include "cli_progress.hpp"
#include "cli_table.hpp"
#include "cli_text.hpp"
#include "option_values.hpp"

namespace cli {

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
    if (const std::string repeated = repeated_option(app); !repeated.empty()) {
      return usage(repeated);
    }
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
    const std::string repeated = repeated_option(app);  // CLI11: "At Most 1 required"
    return usage(repeated.empty() ? error.what() : repeated);
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

}  // namespace cli
