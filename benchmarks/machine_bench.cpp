/// What this machine can do at most: multiply-add peak per element type and instruction set, and
/// copy bandwidth, for a number of threads. Speaks the contract of benchmarks/README.md; its works
/// are
///
///     peak_<unit>/<isa>   flops ÷ seconds_min is the peak
///     copy/<bytes>        bytes (read + written) ÷ seconds_min is the bandwidth
///
/// A peak comes from independent multiply-adds that never leave the registers. An instruction set
/// that the CPU or the compiler lacks is not listed.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "harness.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

/// Threads that wait in a loop for the next job, so that starting one costs no system call.
class Crew {
 public:
  explicit Crew(int size) {
    for (int i = 1; i < size; ++i) {
      others_.emplace_back([this, i] {
        for (std::uint64_t seen = 0;;) {
          while (round_.load(std::memory_order_acquire) == seen) pause();
          ++seen;
          if (stop_) return;
          job_(i);
          done_.fetch_add(1, std::memory_order_release);
        }
      });
    }
  }
  ~Crew() {
    stop_ = true;
    round_.fetch_add(1, std::memory_order_release);
    for (std::thread& other : others_) other.join();
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// job(thread index) on all threads; returns when the last is done.
  void run(std::function<void(int)> job) {
    job_ = std::move(job);
    done_.store(0, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    job_(0);
    while (done_.load(std::memory_order_acquire) != others_.size()) pause();
  }

 private:
  static void pause() {
#if defined(__x86_64__)
    _mm_pause();
#endif
  }
  std::vector<std::thread> others_;
  std::function<void(int)> job_;
  std::atomic<std::uint64_t> round_{0};
  std::atomic<std::size_t> done_{0};
  bool stop_ = false;
};

constexpr std::int64_t kRounds = 400'000;
constexpr int kChains = 12;  // latency 4-5 cycles, 2 a cycle: ten in flight fill the units
thread_local volatile double sink;

#if defined(__x86_64__)

/// A function that runs kRounds × kChains independent `STEP(accumulator)` on VEC registers.
#define TANDEM_BENCH_PEAK(NAME, TARGET, VEC, PROLOGUE, FILL, STEP, ADD)                         \
  __attribute__((target(TARGET))) void NAME() {                                                 \
    PROLOGUE;                                                                                   \
    VEC a0 = FILL(0), a1 = FILL(1), a2 = FILL(2), a3 = FILL(3), a4 = FILL(4), a5 = FILL(5);     \
    VEC a6 = FILL(6), a7 = FILL(7), a8 = FILL(8), a9 = FILL(9), a10 = FILL(10), a11 = FILL(11); \
    for (std::int64_t round = 0; round < kRounds; ++round) {                                    \
      a0 = STEP(a0), a1 = STEP(a1), a2 = STEP(a2), a3 = STEP(a3), a4 = STEP(a4), a5 = STEP(a5); \
      a6 = STEP(a6), a7 = STEP(a7), a8 = STEP(a8), a9 = STEP(a9), a10 = STEP(a10),              \
      a11 = STEP(a11);                                                                          \
    }                                                                                           \
    a0 = ADD(ADD(ADD(a0, a1), ADD(a2, a3)), ADD(ADD(a4, a5), ADD(a6, a7)));                     \
    a0 = ADD(a0, ADD(ADD(a8, a9), ADD(a10, a11)));                                              \
    sink = static_cast<double>(a0[0]);                                                          \
  }

// x·0.999 + 0.5 stays finite and normal for ever.
#define STEP_128(a) _mm_add_ps(_mm_mul_ps(a, scale), shift)
#define STEP_256(a) _mm256_fmadd_ps(a, scale, shift)
#define STEP_256D(a) _mm256_fmadd_pd(a, scale, shift)
#define STEP_512(a) _mm512_fmadd_ps(a, scale, shift)
#define STEP_512D(a) _mm512_fmadd_pd(a, scale, shift)
#define STEP_BF16(a) _mm512_dpbf16_ps(a, pairs, pairs)

TANDEM_BENCH_PEAK(f32_sse2, "sse2", __m128, const __m128 scale = _mm_set1_ps(0.999f);
                  const __m128 shift = _mm_set1_ps(0.5f), _mm_set1_ps, STEP_128, _mm_add_ps)
TANDEM_BENCH_PEAK(f32_avx2, "avx2,fma", __m256, const __m256 scale = _mm256_set1_ps(0.999f);
                  const __m256 shift = _mm256_set1_ps(0.5f), _mm256_set1_ps, STEP_256,
                  _mm256_add_ps)
TANDEM_BENCH_PEAK(f64_avx2, "avx2,fma", __m256d, const __m256d scale = _mm256_set1_pd(0.999);
                  const __m256d shift = _mm256_set1_pd(0.5), _mm256_set1_pd, STEP_256D,
                  _mm256_add_pd)
TANDEM_BENCH_PEAK(f32_avx512, "avx512f", __m512, const __m512 scale = _mm512_set1_ps(0.999f);
                  const __m512 shift = _mm512_set1_ps(0.5f), _mm512_set1_ps, STEP_512,
                  _mm512_add_ps)
TANDEM_BENCH_PEAK(f64_avx512, "avx512f", __m512d, const __m512d scale = _mm512_set1_pd(0.999);
                  const __m512d shift = _mm512_set1_pd(0.5), _mm512_set1_pd, STEP_512D,
                  _mm512_add_pd)
TANDEM_BENCH_PEAK(bf16_avx512, "avx512f,avx512bf16", __m512,
                  const __m512bh pairs = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.01f),
                                                             _mm512_set1_ps(0.01f)),
                  _mm512_set1_ps, STEP_BF16, _mm512_add_ps)

/// Asks the kernel for the tile registers; false when CPU or kernel has none.
bool amx_ready() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22;
  if ((d & kTile) == 0 || (d & kBf16) == 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// Four accumulator tiles, two of each operand: 16×16 results × 32 products each.
__attribute__((target("amx-tile,amx-bf16"))) void bf16_amx() {
  struct alignas(64) Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static_assert(sizeof(Config) == 64);
  // Static: the intrinsic of GCC 12 says that it reads the first eight bytes, and of a local the
  // others are then never written.
  static constexpr Config config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (std::int64_t round = 0; round < kRounds / 16; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}
#endif  // __x86_64__

struct Peak {
  const char* name;
  const char* unit;
  double flops;  // of one call on one thread
  void (*call)();
};

std::vector<Peak> peaks() {
  std::vector<Peak> all;
#if defined(__x86_64__)
  const auto chains = [](double per_step) {
    return per_step * kChains * static_cast<double>(kRounds);
  };
  all.push_back({"peak_f32/sse2", "f32", chains(2 * 4), f32_sse2});
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    all.push_back({"peak_f32/avx2", "f32", chains(2 * 8), f32_avx2});
    all.push_back({"peak_f64/avx2", "f64", chains(2 * 4), f64_avx2});
  }
  if (__builtin_cpu_supports("avx512f")) {
    all.push_back({"peak_f32/avx512", "f32", chains(2 * 16), f32_avx512});
    all.push_back({"peak_f64/avx512", "f64", chains(2 * 8), f64_avx512});
    if (__builtin_cpu_supports("avx512bf16")) {
      all.push_back({"peak_bf16/avx512", "bf16", chains(2 * 32), bf16_avx512});
    }
  }
  if (amx_ready()) {
    const double tile = 2.0 * 16 * 16 * 32;
    all.push_back(
        {"peak_bf16/amx", "bf16", 4 * tile * static_cast<double>(kRounds / 16), bf16_amx});
  }
#endif
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  const int threads = suite.threads();

  for (const Peak& peak : peaks()) {
    suite.add(peak.name, {.flops = peak.flops * threads, .unit = peak.unit}, [threads, peak] {
      auto crew = std::make_shared<Crew>(threads);
      return [crew, peak] { crew->run([&peak](int) { peak.call(); }); };
    });
  }

  // Far beyond any cache; each thread copies a part of its own, which it also touched first.
  constexpr std::size_t kBytes = std::size_t{512} << 20;
  suite.add("copy/512MiB", {.bytes = 2.0 * static_cast<double>(kBytes)}, [threads] {
    auto crew = std::make_shared<Crew>(threads);
    const std::size_t part = kBytes / static_cast<std::size_t>(threads);
    auto from = std::make_shared_for_overwrite<std::byte[]>(kBytes);
    auto to = std::make_shared_for_overwrite<std::byte[]>(kBytes);
    crew->run([&](int i) {
      std::memset(from.get() + static_cast<std::size_t>(i) * part, 1, part);
      std::memset(to.get() + static_cast<std::size_t>(i) * part, 0, part);
    });
    return [crew, from, to, part] {
      crew->run([&](int i) {
        const std::size_t at = static_cast<std::size_t>(i) * part;
        std::memcpy(to.get() + at, from.get() + at, part);
      });
      bench::keep(to[0]);
    };
  });
  return suite.run();
}
