#pragma once
/// What every `benchmarks/<stem>_bench.cpp` is made of: a list of named works, one of which is
/// timed per process. The contract with `run.py` is in `benchmarks/README.md`.
///
///     int main(int argc, char** argv) {
///       bench::Suite suite(argc, argv);
///       suite.add("gemm_f32/1576x2304x768", {.flops = 2.0 * 1576 * 2304 * 768}, [] {
///         auto a = std::make_shared<tandem::Tensor<float>>(…);         // set-up, not timed
///         return [=] { tandem::matmul(*a, *b); };                      // timed
///       });
///       return suite.run();
///     }

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/tensor/allocator.hpp"

namespace bench {

/// How much one call does, for the share of the machine's limit. Zero means "not counted".
struct Cost {
  double flops = 0;  ///< floating-point operations (a multiply-add is two)
  double bytes = 0;  ///< bytes that must cross the memory bus at least once (reads + writes)
  const char* unit = "f32";  ///< which peak bounds the flops: "f32", "tf32", "f64" or "bf16"
  double calls = 1;          ///< works that a timed call puts into a queue before it waits
  double items = 0;          ///< things that one work does, for things a second; 0: not counted
  const char* item = "";     ///< what they are, "pairs" say
};

/// Keeps the compiler from dropping a result that nobody reads.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(&value) : "memory");
}

/// A line of /proc/self/status in MiB.
inline double status_mb(const char* field) {
  double kb = 0;
  if (std::FILE* file = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file) != nullptr) {
      if (std::strncmp(line, field, std::strlen(field)) == 0)
        kb = std::atof(line + std::strlen(field) + 1);
    }
    std::fclose(file);
  }
  return kb / 1024;
}

/// The resident memory that a work's peak is counted above.
inline double& memory_before() {
  static double mb = 0;
  return mb;
}

/// Counts memory from here on, as the peers' `Measurement` does: for set-ups that write files
/// first.
inline void prepared() {
  tandem::release_kept_memory();
  if (std::FILE* file = std::fopen("/proc/self/clear_refs", "w")) {  // VmHWM back to VmRSS: proc(5)
    std::fputs("5", file);
    std::fclose(file);
  }
  memory_before() = status_mb("VmRSS");
}

class Suite {
 public:
  using Call = std::function<void()>;   ///< timed
  using Setup = std::function<Call()>;  ///< not timed; runs only for the chosen work

  /// Options: --list, --work NAME, --threads N, --repeat R, --budget SECONDS of a work, --most
  /// SECONDS after which no further work is begun.
  Suite(int argc, char** argv) : program_(argc > 0 ? argv[0] : "bench") {
    for (int i = 1; i < argc; ++i) {
      const std::string option = argv[i];
      if (option == "--list") {
        list_ = true;
        continue;
      }
      if (i + 1 >= argc) usage("option " + option + " is unknown or lacks its value");
      const char* value = argv[++i];
      if (option == "--work") {
        work_ = value;
      } else if (option == "--threads") {
        threads_ = positive(option, value);
      } else if (option == "--repeat") {
        repeat_ = positive(option, value);
      } else if (option == "--budget") {
        budget_ = positive(option, value);
      } else if (option == "--most") {
        most_ = positive(option, value);
      } else {
        usage("unknown option " + option);
      }
    }
    // Read by the thread pool when it starts, which is after this.
    setenv("TANDEM_NUM_THREADS", std::to_string(threads_).c_str(), 1);
  }

  int threads() const { return threads_; }

  void add(std::string name, Cost cost, Setup setup) {
    works_.push_back({std::move(name), cost, std::move(setup)});
  }

  /// Prints the names (--list), or times the chosen works and prints one JSON line for each. A work
  /// that throws does not stop the others; 1 is returned then, and 75 where --most left some out.
  int run() {
    bool found = false, failed = false;
    const auto begin = Clock::now();
    for (const Work& work : works_) {
      if (list_) std::printf("%s\n", work.name.c_str());
      if (list_ || (!work_.empty() && work_ != work.name)) continue;
      found = true;
      if (std::chrono::duration<double>(Clock::now() - begin).count() > most_) {
        std::fprintf(stderr, "%s: stopped after %d s, before %s\n", program_, most_,
                     work.name.c_str());
        return failed ? 1 : 75;
      }
      try {
        time(work);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s: %s\n", program_, work.name.c_str(), error.what());
        failed = true;
      }
    }
    if (list_ || found) return failed ? 1 : 0;
    std::fprintf(stderr, "%s: no work is named '%s'; --list prints the names\n", program_,
                 work_.c_str());
    return 2;
  }

 private:
  struct Work {
    std::string name;
    Cost cost;
    Setup setup;
  };
  using Clock = std::chrono::steady_clock;

  [[noreturn]] void usage(const std::string& problem) const {
    std::fprintf(stderr,
                 "%s: %s\nusage: %s [--list] [--work NAME] [--threads N] [--repeat R]"
                 " [--budget SECONDS] [--most SECONDS]\n",
                 program_, problem.c_str(), program_);
    std::exit(2);
  }

  int positive(const std::string& option, const char* text) const {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > 1'000'000) {
      usage(option + " takes a whole number from 1, got '" + text + "'");
    }
    return static_cast<int>(value);
  }

  static double seconds(const Call& call, long calls) {
    const auto start = Clock::now();
    for (long i = 0; i < calls; ++i) call();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  void time(const Work& work) const {
    prepared();
    const Call call = work.setup();
    // One call to warm caches, pools and dispatch; short calls are batched to at least 2 ms, where
    // the clock's resolution and the loop no longer matter.
    double once = seconds(call, 1);
    if (once < 2e-3) once = std::min(once, seconds(call, 3) / 3);
    const long batch = std::max(1L, static_cast<long>(2e-3 / std::max(once, 1e-9)));

    std::vector<double> samples;
    const auto start = Clock::now();
    for (int i = 0; i < repeat_; ++i) {
      samples.push_back(seconds(call, batch) / static_cast<double>(batch));
      const double spent = std::chrono::duration<double>(Clock::now() - start).count();
      if (i >= 2 && spent > budget_) break;
    }
    std::sort(samples.begin(), samples.end());

    std::printf(
        "{\"work\": \"%s\", \"mode\": \"tandem\", \"threads\": %d, \"seconds_min\": %.9g, "
        "\"seconds_median\": %.9g, \"samples\": %zu, \"flops\": %.17g, \"bytes\": %.17g, "
        "\"unit\": \"%s\", \"calls\": %g, \"items\": %g, \"item\": \"%s\", "
        "\"peak_rss_mb\": %.1f, \"versions\": {\"tandem\": \"%s\", "
        "\"compiler\": \"%s\"}}\n",
        work.name.c_str(), threads_, samples.front(), samples[samples.size() / 2], samples.size(),
        work.cost.flops, work.cost.bytes, work.cost.unit, work.cost.calls, work.cost.items,
        work.cost.item, status_mb("VmHWM") - memory_before(), TANDEM_VERSION_STRING, compiler());
    std::fflush(stdout);
  }

  static const char* compiler() {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
  }

  const char* program_;
  std::vector<Work> works_;
  std::string work_;
  bool list_ = false;
  int threads_ = 1;
  int repeat_ = 20;
  int budget_ = 10, most_ = 1'000'000;  // seconds
};

}  // namespace bench
