#pragma once
/// What the io tests share.

#include <string>

#include "tandem/tensor/error.hpp"

#ifndef TANDEM_SOURCE_DIR
#define TANDEM_SOURCE_DIR "."
#endif

namespace tandem_test {

/// The message of the tandem::Error that f throws, or "no error". Other exceptions pass.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const tandem::Error& e) {
    return e.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A file of tests/golden/io.
inline std::string golden(const std::string& name) {
  return std::string(TANDEM_SOURCE_DIR) + "/tests/golden/io/" + name;
}

}  // namespace tandem_test
