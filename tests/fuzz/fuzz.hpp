#pragma once
/// The targets with their inputs, as the mutation runner and the suite use them.
///
/// Everything about iteration i follows from (seed, i), so a failure is repeated by its two
/// numbers.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "../io/temp_dir.hpp"
#include "mutate.hpp"
#include "tandem/io/file.hpp"
#include "targets.hpp"

namespace fuzz {

class Fuzzer {
 public:
  /// `tests` is the folder tests of the sources.
  explicit Fuzzer(const std::string& tests) : targets_(all_targets({tests, dir_.path("")})) {
    namespace fs = std::filesystem;
    for (const auto& entry : fs::recursive_directory_iterator(tests + "/fuzz/corpus")) {
      if (!entry.is_regular_file()) continue;
      const std::string folder = entry.path().parent_path().filename(),
                        name = entry.path().filename();
      const auto target = std::find_if(targets_.begin(), targets_.end(),
                                       [&](const Target& t) { return t.name == folder; });
#if !defined(TANDEM_VIDEO)
      if (folder.starts_with("video_")) continue;
#endif
      TANDEM_CHECK(target != targets_.end(), "fuzz", entry.path().string(),
                   " belongs to no reader");
      corpus_.push_back({folder + "/" + name, static_cast<std::size_t>(target - targets_.begin()),
                         io::read_text(entry.path())});
    }
    // In an order of our own: inputs must not depend on the file system.
    std::sort(corpus_.begin(), corpus_.end(),
              [](const File& a, const File& b) { return a.name < b.name; });
    for (const Target& one : targets_) inputs_.push_back(one.seeds);
    for (const File& one : corpus_) inputs_[one.target].push_back(one.bytes);
  }

  std::size_t corpus_size() const { return corpus_.size(); }
  std::size_t size() const { return targets_.size(); }
  /// Which target an iteration is for; slow ones are met a tenth as often.
  const Target& target(std::uint64_t iteration) const { return targets_[slot(iteration)]; }
  std::size_t slot(std::uint64_t iteration) const {
    std::size_t at = iteration % targets_.size();
    if (targets_[at].slow && iteration / targets_.size() % 10 != 0)
      at = iteration / targets_.size() % targets_.size();
    return at;
  }
  /// The input of an iteration.
  std::string input(std::uint64_t seed, std::uint64_t iteration) const {
    Random random(seed * 0x9E3779B97F4A7C15u + iteration);
    const std::vector<std::string>& inputs = inputs_[slot(iteration)];
    return mutate(inputs[below(random, inputs.size())], inputs, random);
  }
  /// The first seed of each target must be read. Files of the corpus are refused if they are named
  /// bad_…, read if they are named good_…; those that the coverage-guided fuzzer found (named by
  /// their hash) may do either. Returns those that do otherwise.
  std::vector<std::string> broken_seeds() const {
    std::vector<std::string> out;
    for (const Target& t : targets_) {
      try {
        t.read(t.seeds.at(0));
      } catch (const Error& e) {
        out.push_back(t.name + ": " + e.what());
      }
    }
    for (const File& file : corpus_) {
      std::string problem;
      try {
        targets_[file.target].read(file.bytes);
      } catch (const Error& e) {
        problem = e.what();
      }
      const bool bad = file.name.find("/bad_") != std::string::npos,
                 good = file.name.find("/good_") != std::string::npos;
      if ((bad && problem.empty()) || (good && !problem.empty())) {
        out.push_back(file.name + ": " + (bad ? "it is accepted" : problem));
      }
    }
    return out;
  }

 private:
  struct File {
    std::string name;
    std::size_t target;
    std::string bytes;
  };

  tandem_test::TempDir dir_;
  Targets targets_;
  std::vector<File> corpus_;
  std::vector<std::vector<std::string>> inputs_;
};

}  // namespace fuzz
