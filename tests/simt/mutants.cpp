// Which mutant runs, and which mutants each test case comes past (mutants.hpp).

#include "mutants.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace mutants {

int chosen = 0;
unsigned char reached[1 << 20] = {};  // a thousand for each file of kernels

namespace {

// Before the kernels register themselves.
__attribute__((constructor(101))) void choose() {
  if (const char* const number = std::getenv("TANDEM_MUTANT")) chosen = std::atoi(number);
}

/// With TANDEM_MUTANTS_FILE: a line for every test case, "seconds|name|numbers". What was reached
/// before the first one counts as its own.
struct Coverage : doctest::IReporter {
  explicit Coverage(const doctest::ContextOptions&) {
    if (const char* const path = std::getenv("TANDEM_MUTANTS_FILE")) file = std::fopen(path, "w");
  }
  void test_case_start(const doctest::TestCaseData& test) override {
    name = test.m_name;
    begin = std::chrono::steady_clock::now();
  }
  void test_case_end(const doctest::CurrentTestCaseStats&) override {
    if (file == nullptr) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::fprintf(file, "%.3f|%s|", took.count(), name);
    for (std::size_t i = 0; i < sizeof reached; ++i) {
      if (reached[i] != 0) std::fprintf(file, " %zu", i);
    }
    std::fputc('\n', file);
    std::memset(reached, 0, sizeof reached);
  }
  void test_run_end(const doctest::TestRunStats&) override {
    if (file != nullptr) std::fclose(file);
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

  std::FILE* file = nullptr;
  const char* name = "";
  std::chrono::steady_clock::time_point begin;
};
REGISTER_LISTENER("mutants", 1, Coverage);

}  // namespace
}  // namespace mutants
