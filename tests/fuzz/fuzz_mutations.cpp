/// fuzz_mutations [--seconds N] [--seed S] [--only I]: see fuzz.hpp. scripts/fuzz.sh builds it with
/// AddressSanitizer and runs it for five minutes. An input may take 10 seconds.

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "fuzz.hpp"

namespace {

// Memory that the readers hold, counted in operator new and refused there: an input must not make
// them ask for more than it justifies. The data of tensors is counted by the library itself.
std::size_t live = 0, peak = 0, limit = ~std::size_t{0};
bool refused_memory = false;
std::uint64_t running = 0, running_seed = 0;

void* counted(std::size_t size) {
  if (size > limit || live > limit - size) {
    refused_memory = true;
    throw std::bad_alloc();
  }
  void* p = std::malloc(size > 0 ? size : 1);
  if (p == nullptr) throw std::bad_alloc();
  live += malloc_usable_size(p);
  peak = live > peak ? live : peak;
  return p;
}
void release(void* p) {
  if (p == nullptr) return;
  live -= malloc_usable_size(p);
  std::free(p);
}

[[noreturn]] void report(const fuzz::Fuzzer& fuzzer, const char* what) {
  std::fprintf(stderr,
               "fuzz_mutations: %s in iteration %llu of seed %llu (%s); repeat: fuzz_mutations "
               "--seed %llu --only %llu\n",
               what, static_cast<unsigned long long>(running),
               static_cast<unsigned long long>(running_seed), fuzzer.target(running).name.c_str(),
               static_cast<unsigned long long>(running_seed),
               static_cast<unsigned long long>(running));
  std::exit(1);
}

void too_long(int) {
  constexpr char text[] = "fuzz_mutations: an input takes longer than 10 s\n";
  (void)!::write(2, text, sizeof text - 1);
  std::abort();
}

double now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }

int main(int argc, char** argv) {
  double seconds = 10;
  std::uint64_t seed = 1, only = ~std::uint64_t{0};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--seconds") seconds = std::atof(argv[i + 1]);
    if (name == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--only") only = std::strtoull(argv[i + 1], nullptr, 10);
  }
#if !defined(__SANITIZE_ADDRESS__)
  const rlimit two_gib{std::size_t{2} << 30, std::size_t{2} << 30};
  ::setrlimit(RLIMIT_AS, &two_gib);
#endif
  ::signal(SIGALRM, too_long);
  const fuzz::Fuzzer fuzzer(TANDEM_SOURCE_DIR "/tests");
  for (const std::string& broken : fuzzer.broken_seeds()) {
    std::fprintf(stderr, "fuzz_mutations: an undamaged input does not do what it should: %s\n",
                 broken.c_str());
    return 1;
  }
  running_seed = seed;
  std::vector<std::uint64_t> read(fuzzer.size()), refused(fuzzer.size());
  std::vector<double> growth(fuzzer.size()), slowest(fuzzer.size());
  const double start = now();
  const std::uint64_t first = only != ~std::uint64_t{0} ? only : 0;
  for (running = first; running == first || (only == ~std::uint64_t{0} && now() - start < seconds);
       ++running) {
    const std::string input = fuzzer.input(seed, running);
    const fuzz::Target& target = fuzzer.target(running);
    const std::size_t slot = fuzzer.slot(running);
    const std::size_t allowed = (std::size_t{4} << 20) + target.allowed_growth * input.size();
    const std::size_t before = live;
    const double begin = now();
    tandem::reset_peak_memory();
    const std::int64_t tensors_before = tandem::memory_stats().current;
    peak = live;
    limit = live + allowed;
    refused_memory = false;
    ::alarm(10);
    try {
      target.read(input);
      ++read[slot];
    } catch (const tandem::Error& e) {
      ++refused[slot];
      if (only != ~std::uint64_t{0}) std::printf("%s\n", e.what());
    } catch (const std::exception& e) {
      limit = ~std::size_t{0};
      report(fuzzer, e.what());
    } catch (...) {
      report(fuzzer, "an unknown exception");
    }
    limit = ~std::size_t{0};
    const std::size_t used =
        peak - before + static_cast<std::size_t>(tandem::memory_stats().peak - tensors_before);
    if (used > allowed || refused_memory) {
      std::fprintf(stderr, "more than %zu bytes of memory for an input of %zu\n", allowed,
                   input.size());
      report(fuzzer, "too much memory");
    }
    slowest[slot] = std::max(slowest[slot], now() - begin);
    const double ratio = static_cast<double>(used) / static_cast<double>(input.size() + 1024);
    growth[slot] = ratio > growth[slot] ? ratio : growth[slot];
  }
  ::alarm(0);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < fuzzer.size(); ++i) {
    std::printf(
        "%-24s %9llu read %9llu refused   at most %.0f bytes of memory per byte of (input + 1 "
        "KiB), %.3f s\n",
        fuzzer.target(i).name.c_str(), static_cast<unsigned long long>(read[i]),
        static_cast<unsigned long long>(refused[i]), growth[i], slowest[i]);
    total += read[i] + refused[i];
  }
  std::printf("%llu inputs in %.0f s, seed %llu: every one was read or refused with an Error\n",
              static_cast<unsigned long long>(total), now() - start,
              static_cast<unsigned long long>(seed));
  return 0;
}
