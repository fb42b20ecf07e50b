#pragma once
/// Version, ABI namespace and compiler switches; included by every other header.

#define TANDEM_VERSION_MAJOR 0
#define TANDEM_VERSION_MINOR 1
#define TANDEM_VERSION_PATCH 0
#define TANDEM_VERSION_STRING "0.1.0"

/// Everything lives in `tandem::v0`, an inline namespace: user code writes `tandem::`, and objects
/// built against two ABI versions fail to link instead of mixing silently.
#define TANDEM_NAMESPACE_BEGIN \
  namespace tandem {           \
  inline namespace v0 {
#define TANDEM_NAMESPACE_END \
  }                          \
  }

#if defined(__GNUC__) || defined(__clang__)
#define TANDEM_ALWAYS_INLINE inline __attribute__((always_inline))
#define TANDEM_NOINLINE __attribute__((noinline))
#define TANDEM_RESTRICT __restrict__
#else
#error "tandem needs GCC 12+ or Clang 16+"
#endif

#if defined(__x86_64__)
#define TANDEM_X86 1
#else
#define TANDEM_X86 0
#endif
