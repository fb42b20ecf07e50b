#pragma once
/// Which instruction set the CPU code uses, found out at run time: one binary built without -march
/// runs everywhere and is fast everywhere. The environment variable TANDEM_ISA forces one by name.

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// Instruction sets, each including the ones before it:
///   portable      what the compiler assumes without flags (SSE2 on x86-64)
///   avx2          AVX2 and FMA
///   avx512        AVX-512 F, BW, DQ, VL
///   avx512_bf16   products of bfloat16 pairs in vector registers
///   amx_bf16      products of bfloat16 tiles
/// Code that knows nothing of bfloat16 compares with `>=`: isa() >= Isa::avx512.
enum class Isa : int { portable, avx2, avx512, avx512_bf16, amx_bf16 };

/// How many sets there are.
inline constexpr int isa_count = 5;

/// The name that TANDEM_ISA takes and that logs print.
///
///   std::puts(tandem::cpu::name(tandem::cpu::isa()));  // as "avx512_bf16"
constexpr const char* name(Isa isa) {
  switch (isa) {
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::amx_bf16:
      return "amx_bf16";
  }
  return "unknown";
}

namespace detail {

/// What CPUID and the operating system report.
struct CpuInfo {
  Isa best = Isa::portable;  // the highest usable one
  bool intel = false;
};

#if TANDEM_X86
/// The register states that the operating system saves (XCR0); only valid with OSXSAVE.
inline std::uint64_t saved_states() {
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

/// Linux hands out the 8 KiB of tile data per thread on request only.
inline bool request_amx() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

inline CpuInfo detect_cpu() {
  CpuInfo info;
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0) return info;
  info.intel = b == 0x756e6547 && d == 0x49656e69 && c == 0x6c65746e;  // "GenuineIntel"
  const auto bit = [](std::uint32_t word, int i) { return ((word >> i) & 1) != 0; };

  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return info;
  if (!bit(c, 27)) return info;  // OSXSAVE
  const bool fma = bit(c, 12), avx = bit(c, 28);
  const std::uint64_t saved = saved_states();
  const auto saves = [saved](std::uint64_t mask) { return (saved & mask) == mask; };

  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return info;
  const std::uint32_t subleaves = a;
  const bool avx2 = bit(b, 5);
  const bool avx512 = bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);  // F, DQ, BW, VL
  const bool amx = bit(d, 22) && bit(d, 24);                                 // BF16, TILE
  bool avx512_bf16 = false;
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) avx512_bf16 = bit(a, 5);

  if (!(avx && fma && avx2 && saves(0x6))) return info;  // XMM and YMM
  info.best = Isa::avx2;
  if (!(avx512 && saves(0xe6))) return info;  // and the mask and ZMM registers
  info.best = Isa::avx512;
  if (!avx512_bf16) return info;
  info.best = Isa::avx512_bf16;
  if (!(amx && saves(0x60000) && request_amx())) return info;  // and the tile registers
  info.best = Isa::amx_bf16;
  return info;
}
#else
inline CpuInfo detect_cpu() { return {}; }
#endif

/// What is known of the CPU so far: portable until cpu_info() has been asked, which isa() does. For
/// inner loops that may use an instruction and can do without.
inline constinit std::atomic<Isa> known_best{Isa::portable};

inline const CpuInfo& cpu_info() {
  static const CpuInfo info = [] {
    const CpuInfo detected = detect_cpu();
    known_best.store(detected.best, std::memory_order_relaxed);
    return detected;
  }();
  return info;
}

/// "portable, avx2, …" up to and including `last`.
inline std::string isa_names(Isa last) {
  std::string names;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (i > 0) names += ", ";
    names += name(static_cast<Isa>(i));
  }
  return names;
}

/// The instruction set to start with; `text` is the value of TANDEM_ISA, null or empty if not set.
inline Isa choose_isa(const CpuInfo& cpu, const char* text) {
  if (text == nullptr || *text == '\0') {
    // Intel CPUs that have AVX512-BF16 but whose tiles are out of reach run it slower than float.
    return cpu.best == Isa::avx512_bf16 && cpu.intel ? Isa::avx512 : cpu.best;
  }
  for (int i = 0; i < isa_count; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (std::string_view(text) != name(isa)) continue;
    TANDEM_CHECK(isa <= cpu.best, "isa", "TANDEM_ISA asks for ", text, ", this CPU has ",
                 isa_names(cpu.best));
    return isa;
  }
  fail("isa", "TANDEM_ISA must be one of ", isa_names(Isa::amx_bf16), ", got \"", text,
       "\"; this CPU has ", isa_names(cpu.best));
}

inline std::atomic<Isa>& isa_setting() {
  static std::atomic<Isa> setting{choose_isa(cpu_info(), std::getenv("TANDEM_ISA"))};
  return setting;
}

}  // namespace detail

/// The instruction set in use: the best that CPU and operating system offer, or what TANDEM_ISA
/// names. Throws Error if that name is unknown or the CPU lacks it.
///
///   const bool wide = tandem::cpu::isa() >= tandem::cpu::Isa::avx512;
inline Isa isa() { return detail::isa_setting().load(std::memory_order_relaxed); }

/// Every instruction set that this machine can run, in increasing order; portable is always there.
///
///   for (Isa isa : supported_isas()) { IsaScope scope(isa); check(); }
inline std::vector<Isa> supported_isas() {
  std::vector<Isa> all;
  for (int i = 0; i <= static_cast<int>(detail::cpu_info().best); ++i) {
    all.push_back(static_cast<Isa>(i));
  }
  return all;
}

/// Forces an instruction set, for the whole process, until the end of the scope: for tests and
/// benchmarks. Throws Error if this machine lacks it. Scopes nest; do not open them concurrently.
///
///   const tandem::cpu::IsaScope scope(tandem::cpu::Isa::portable);
///   tandem::cpu::name(tandem::cpu::isa());   // → "portable"
class IsaScope {
 public:
  explicit IsaScope(Isa isa) : outer_(cpu::isa()) {
    TANDEM_CHECK(isa <= detail::cpu_info().best, "IsaScope", "asked for ", name(isa),
                 ", this CPU has ", detail::isa_names(detail::cpu_info().best));
    detail::isa_setting().store(isa, std::memory_order_relaxed);
  }
  ~IsaScope() { detail::isa_setting().store(outer_, std::memory_order_relaxed); }
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  Isa outer_;
};

}  // namespace cpu
TANDEM_NAMESPACE_END
