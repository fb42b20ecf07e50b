#pragma once
// What the test cases that make_examples.py writes compare with: a value as the comments print it.

#include <doctest/doctest.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tandem/tensor.hpp"

namespace examples {

inline std::string shown(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\\\"") : std::string(1, c);
  return out + '"';
}
inline std::string shown(const char* text) { return shown(std::string(text)); }
inline std::string shown(bool value) { return value ? "true" : "false"; }
template <tandem::Element T>
std::string shown(const tandem::Tensor<T>& x) {
  return tandem::to_string(x);
}
inline std::string shown(const tandem::Shape& shape) { return shape.str(); }
template <class T>
std::string shown(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}
template <class T>
std::string shown(const std::vector<T>& values) {
  std::string out = "{";
  for (std::size_t i = 0; i < values.size(); ++i)
    out += (i == 0 ? "" : ", ") + shown(static_cast<T>(values[i]));
  return out + "}";
}
template <class A, class B>
std::string shown(const std::pair<A, B>& p) {
  return "{" + shown(p.first) + ", " + shown(p.second) + "}";
}
template <class T>
requires requires(const T& t) { t.values, t.indices; }
std::string shown(const T& both) { return shown(both.values) + ", " + shown(both.indices); }

/// The shape of a tensor, for results in round brackets.
template <tandem::Element T>
std::string shape_of(const tandem::Tensor<T>& x) {
  return x.shape().str();
}
template <class T>
std::string shape_of(const T& value) {
  return shown(value);
}

inline std::string without_space(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (std::isspace(static_cast<unsigned char>(c)) == 0) out += c;
  return out;
}

template <class... Values>
void check(const char* where, const std::string& expected, const Values&... values) {
  std::string found;
  const auto add = [&](const std::string& text) { found += (found.empty() ? "" : ", ") + text; };
  (add(expected.starts_with('(') ? shape_of(values) : shown(values)), ...);
  if (expected == "?") {
    std::string line;
    for (const char c : found)
      if (c != '\n' || (!line.empty() && line.back() != ' ')) line += c == '\n' ? ' ' : c;
    std::printf("FOUND %s %s\n", where, line.c_str());
  }
  const bool same = without_space(found) == without_space(expected);
  CHECK_MESSAGE(same, where, ": the comment says ", expected, ", it is ", found);
}

/// The files part of the examples runs in a folder of its own, which goes when the program ends.
class Scratch {
 public:
  Scratch()
      : folder_(std::filesystem::temp_directory_path() /
                tandem::concat("tandem_examples_", ::getpid())) {
    std::filesystem::create_directory(folder_);
    std::filesystem::current_path(folder_);
  }
  ~Scratch() {
    std::filesystem::current_path("/");
    std::filesystem::remove_all(folder_);
  }

 private:
  std::filesystem::path folder_;
};

inline void copy(const std::string& from, const std::string& to) {
  std::filesystem::copy_file(std::filesystem::path(TANDEM_SOURCE_DIR) / from, to,
                             std::filesystem::copy_options::overwrite_existing);
}
/// Of the test data; false where there is none.
inline bool copy_data(const std::string& from, const std::string& to) {
  const char* named = std::getenv("TANDEM_TEST_DATA");
  const std::filesystem::path data = named != nullptr ? named : TANDEM_SOURCE_DIR "/../shared/data";
  if (!std::filesystem::exists(data / from)) return false;
  std::filesystem::copy_file(data / from, to, std::filesystem::copy_options::overwrite_existing);
  return true;
}

}  // namespace examples
