#pragma once
/// The optional folder of published research data: TANDEM_TEST_DATA, default ../shared/data.

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "tandem/io/file.hpp"

namespace tandem_test {

/// The path of a file or folder of the test data, or "" (with a message) when it is not there.
inline std::string test_data(const std::string& name) {
  const char* set = std::getenv("TANDEM_TEST_DATA");
  const std::string root = set != nullptr && *set != '\0' ? set : "../shared/data";
  const std::string path = tandem::io::join_path(root, name);
  if (tandem::io::is_file(path) || tandem::io::is_directory(path)) return path;
  MESSAGE("skipped: there is no " << path << " (set TANDEM_TEST_DATA to the folder of test data)");
  return "";
}

}  // namespace tandem_test
