#pragma once
/// The sanitizers' interfaces where they are on, nothing where they are off.

#include <cstddef>

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
/// What happened before release(x) has happened for whoever calls acquire(x) later (ThreadSanitizer).
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

}  // namespace simt
