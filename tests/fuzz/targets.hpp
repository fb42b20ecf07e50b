#pragma once
/// The table of what is fuzzed: one target for every reader of files that others have made. The
/// same functions serve three programs:
///
///   fuzz_coverage.cpp    libFuzzer: coverage-guided, under AddressSanitizer and UBSan
///   (scripts/fuzz.sh)
///   fuzz_mutations.cpp   blind mutation with a limit on memory per byte of input (scripts/fuzz.sh
///   --mutations)
///   replay_test.cpp      the suite: seeds, corpus and a few thousand mutations, with any compiler
///
/// A target may return or throw tandem::Error. Anything else is a finding: another exception, a
/// crash, a hang, memory that the input does not justify, or a broken promise(), such as a written
/// value that is not read again.

#include <functional>
#include <string>
#include <vector>

#include "tandem/tensor/error.hpp"

namespace fuzz {

using namespace tandem;

struct Target {
  std::string name;                ///< also of its folder in corpus/
  std::vector<std::string> seeds;  ///< good inputs, made by our own writers or of tests/golden
  std::function<void(const std::string&)> read;
  std::size_t allowed_growth = 512;  ///< bytes of memory per byte of input, beyond a fixed 4 MiB
  bool slow = false;                 ///< milliseconds an input: fewer of them
};
using Targets = std::vector<Target>;

/// Where targets find golden files (`tests` is the folder tests of the sources) and may write.
struct Places {
  std::string tests, scratch;
};

void add_io_targets(Targets& targets, const Places& places);          // targets_io.cpp
void add_picture_targets(Targets& targets, const Places& places);     // targets_pictures.cpp
void add_annotation_targets(Targets& targets, const Places& places);  // targets_annotations.cpp
void add_text_targets(Targets& targets, const Places& places);        // targets_text.cpp
void add_weights_targets(Targets& targets, const Places& places);     // targets_weights.cpp
void add_video_targets(Targets& targets, const Places& places);       // targets_video.cpp

inline Targets all_targets(const Places& places) {
  Targets targets;
  add_io_targets(targets, places);
  add_picture_targets(targets, places);
  add_annotation_targets(targets, places);
  add_text_targets(targets, places);
  add_weights_targets(targets, places);
  add_video_targets(targets, places);
  return targets;
}

/// What a reader promises beyond not crashing. std::logic_error is no tandem::Error, so it counts
/// as a finding.
inline void promise(bool kept, const char* what) {
  if (!kept) throw std::logic_error(std::string("a promise is broken: ") + what);
}

/// Writes without the fsync of AtomicFile, which would be most of the time.
void put(const std::string& path, const std::string& bytes);

template <class F>
void attempt(F&& f) {
  try {
    f();
  } catch (const Error&) {
  }
}

}  // namespace fuzz
