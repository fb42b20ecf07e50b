/// libFuzzer over the targets (clang, -fsanitize=fuzzer,address,undefined); scripts/fuzz.sh builds
/// and runs it.
///   TANDEM_FUZZ_TARGET=jpeg fuzz_coverage CORPUS…      the usual options of libFuzzer, or
///                                                      files, to repeat findings
///   TANDEM_FUZZ_SEEDS=DIR fuzz_coverage                writes the seeds of every target to
///   DIR/<target>/, names on stdout

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "../io/temp_dir.hpp"
#include "targets.hpp"

namespace {

fuzz::Target* target = nullptr;

/// Removed when the program ends well; a finding leaves it behind for a look.
tandem_test::TempDir& scratch() {
  static tandem_test::TempDir dir;
  return dir;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  static fuzz::Targets targets =
      fuzz::all_targets({std::string(TANDEM_SOURCE_DIR) + "/tests", scratch().path("")});
  if (const char* folder = std::getenv("TANDEM_FUZZ_SEEDS")) {
    for (const fuzz::Target& one : targets) {
      const std::string to = std::string(folder) + "/" + one.name;
      std::filesystem::create_directories(to);
      for (std::size_t i = 0; i < one.seeds.size(); ++i)
        fuzz::put(to + "/seed" + std::to_string(i), one.seeds[i]);
      std::printf("%s %d\n", one.name.c_str(), one.slow ? 1 : 0);
    }
    std::fflush(stdout);
    std::exit(0);
  }
  const char* name = std::getenv("TANDEM_FUZZ_TARGET");
  for (fuzz::Target& one : targets) {
    if (name != nullptr && one.name == name) target = &one;
  }
  if (target == nullptr) {
    std::fprintf(
        stderr,
        "fuzz_coverage: TANDEM_FUZZ_TARGET names no target; TANDEM_FUZZ_SEEDS=DIR lists them\n");
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    target->read(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const tandem::Error& e) {
    fuzz::promise(std::string_view(e.what()).size() <= 2000,
                  "a message is a sentence, however long the input's words");
  }
  return 0;
}
