#pragma once
/// The sanitizers' interfaces where they are on, nothing where they are off.

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIMT_ASAN 1
#endif
#endif
#ifndef SIMT_ASAN
#define SIMT_ASAN 0
#endif

// The executor itself is compiled without -fsanitize=thread, so the build says whether it is on.
#ifndef SIMT_TSAN
#define SIMT_TSAN 0
#endif

#if SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if SIMT_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace simt {

/// Any access to these bytes is an error from now on (AddressSanitizer).
inline void forbid([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#if SIMT_ASAN
  __asan_poison_memory_region(begin, bytes);
#endif
}
inline void permit([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#if SIMT_ASAN
  __asan_unpoison_memory_region(begin, bytes);
#endif
}
/// What happened before release(x) has happened for whoever calls acquire(x) later
/// (ThreadSanitizer).
inline void release([[maybe_unused]] void* address) {
#if SIMT_TSAN
  __tsan_release(address);
#endif
}
inline void acquire([[maybe_unused]] void* address) {
#if SIMT_TSAN
  __tsan_acquire(address);
#endif
}

/// Fills memory with a 32-bit word; `bytes` may be any number. ThreadSanitizer does not see it: the
/// executor prepares memory for a kernel, which is no access of any of its threads. (memset would
/// be intercepted, and make the accesses of correct kernels look like races with it.)
inline void fill_unseen(void* to, std::uint32_t word, std::size_t bytes) {
  auto* p = static_cast<unsigned char*>(to);
#if defined(__x86_64__)
  std::size_t words = bytes / 4;
  void* at = p;
  asm volatile("rep stosl" : "+D"(at), "+c"(words) : "a"(word) : "memory");
  p += bytes / 4 * 4;
#else
  for (std::size_t i = 0; i < bytes / 4; ++i, p += 4) {
    for (int k = 0; k < 4; ++k)
      static_cast<volatile unsigned char*>(p)[k] = static_cast<unsigned char>(word >> 8 * k);
  }
#endif
  for (std::size_t k = 0; k < bytes % 4; ++k) {
    static_cast<volatile unsigned char*>(p)[k] = static_cast<unsigned char>(word >> 8 * k);
  }
}

}  // namespace simt
