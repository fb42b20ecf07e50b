#pragma once
/// For programs without options, and without CLI11: --help explains in two lines, any other word is
/// refused.

#include <cstdio>
#include <optional>
#include <string_view>

namespace cli {

/// The exit status of a program that is done: 0, or 1 with a sentence where its standard output
/// could not be written.
inline int written(const char* name) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  std::fprintf(stderr, "%s: ", name);
  std::perror("cannot write to the standard output");
  return 1;
}

/// The exit status where the command line has words: 0 after --help or -h, 2 for anything else.
/// Nothing where it has none: the program runs.
inline std::optional<int> answer(int argc, char** argv, const char* name, const char* what) {
  if (argc < 2) return std::nullopt;
  const std::string_view word = argv[1];
  if (argc == 2 && (word == "--help" || word == "-h")) {
    std::printf("%s\nUsage: %s, without options\n", what, name);
    return written(name);
  }
  const char* const wrong = word == "--help" || word == "-h" ? argv[2] : argv[1];
  std::fprintf(stderr, "%s: '%s' is not known: the program has no options\n", name, wrong);
  std::fprintf(stderr, "%s --help says what it does.\n", name);
  return 2;
}

}  // namespace cli
