/// The suite's share of fuzzing: every seed and every file of the corpus once, and a short run of
/// blind damage. scripts/fuzz.sh is the long one.
#include <doctest/doctest.h>

#include "fuzz.hpp"

TEST_CASE("fuzz: damaged files are read or refused, whatever the damage") {
  const fuzz::Fuzzer fuzzer(TANDEM_SOURCE_DIR "/tests");
  const std::vector<std::string> broken = fuzzer.broken_seeds();
  CHECK_MESSAGE(broken.empty(), (broken.empty() ? "" : broken[0]));
  CHECK(fuzzer.corpus_size() >= 30);
  CHECK(fuzzer.size() >= 40);
  std::size_t read = 0, refused = 0;
  for (std::uint64_t i = 0; i < 12000; ++i) {
    CAPTURE(i);
    try {
      fuzzer.target(i).read(fuzzer.input(20, i));
      ++read;
    } catch (const tandem::Error&) {
      ++refused;
    }  // anything else fails the test
  }
  // Both happen often, or the damage is not worth the name.
  CHECK(read > 500);
  CHECK(refused > 5000);
}
