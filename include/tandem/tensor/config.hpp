#pragma once
/// Version, ABI namespace and compiler switches; included by every other header.

#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 202002L
#error "tandem needs C++20: compile with -std=c++20 (CMake: target_compile_features(… cxx_std_20))"
// GCC goes on after an #error and would bury it under thousands: a file that is not there ends it.
#include "compile_with_-std=c++20"
#endif

// Debian 12's clang++ is version 14. (Apple counts its versions otherwise.)
#if defined(__clang__) && !defined(__apple_build_version__) && __clang_major__ < 16
#error \
    "tandem needs Clang 16 or newer, or g++ 12: this Clang is older (on Debian 12 install clang-16, call clang++-16)"
#include "compile_with_clang_16_or_newer"
#elif defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 12
#error "tandem needs g++ 12 or newer, or Clang 16: this g++ is older"
#include "compile_with_gcc_12_or_newer"
#endif

#define TANDEM_VERSION_MAJOR 0
#define TANDEM_VERSION_MINOR 1
#define TANDEM_VERSION_PATCH 0
#define TANDEM_VERSION_STRING "0.1.0"

// Results rest on IEEE arithmetic: rounding as written, infinities, NaN, signed zeros. Each
// compiler option that gives it up is refused where the compiler tells of it, and undone where it
// does not. tests/headers/check_flags.py tries them all. (Linking with -ffast-math makes some
// toolchains flush subnormal numbers to zero in the whole process, which nothing here can see.)
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ != 0) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) ||                          \
    defined(__NO_SIGNED_ZEROS__) || (defined(__GCC_IEC_559) && __GCC_IEC_559 == 0)
#error \
    "tandem relies on IEEE arithmetic (rounding, infinities, NaN): build without -ffast-math, -Ofast, \
-funsafe-math-optimizations, -fassociative-math, -freciprocal-math, -ffinite-math-only, -fno-signed-zeros \
and -fsingle-precision-constant"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error \
    "tandem relies on IEEE arithmetic in the type that is written: build without -mfpmath=387 and \
-ffp-eval-method"
#endif
#if defined(__clang__)
// Clang has no macro for the parts of -funsafe-math-optimizations, but an error for this pragma
// under any of them, and shows its line, which must stay one.
// clang-format off
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunknown-pragmas"
namespace tandem {
inline namespace v0 {
inline void require_ieee_arithmetic() {
#pragma STDC FENV_ACCESS ON  // tandem needs IEEE arithmetic: leave out -funsafe-math-optimizations
}
// clang-format on
}  // namespace v0
}  // namespace tandem
#pragma clang diagnostic pop
// And no sign at all of -fno-honor-nans and -fno-honor-infinities: this overrules them.
#define TANDEM_PRECISE_BEGIN _Pragma("float_control(precise, on, push)")
#define TANDEM_PRECISE_END _Pragma("float_control(pop)")
#else
#define TANDEM_PRECISE_BEGIN
#define TANDEM_PRECISE_END
#endif

#if !defined(__cpp_exceptions)
#error "tandem reports errors by exceptions: build without -fno-exceptions"
#endif

/// Everything lives in `tandem::v0`, an inline namespace: user code writes `tandem::`, and objects
/// built against two ABI versions fail to link instead of mixing silently.
#define TANDEM_NAMESPACE_BEGIN \
  TANDEM_PRECISE_BEGIN         \
  namespace tandem {           \
  inline namespace v0 {
#define TANDEM_NAMESPACE_END \
  }                          \
  }                          \
  TANDEM_PRECISE_END

#if defined(__GNUC__) || defined(__clang__)
#define TANDEM_ALWAYS_INLINE inline __attribute__((always_inline))
#define TANDEM_NOINLINE __attribute__((noinline))
#define TANDEM_RESTRICT __restrict__
#else
#error "tandem needs GCC 12+ or Clang 16+"
#endif

/// Goes between the parameters and the body of a lambda that takes or returns a vector of
/// cpu/simd.hpp.
#define TANDEM_INLINE_LAMBDA __attribute__((always_inline))

/// TANDEM_HOST_DEVICE: a function that kernels call too. TANDEM_FORMULA: one of formula/, which
/// always becomes part of its caller, so that it is compiled for the caller's instruction set.
#if defined(__CUDACC__)
#define TANDEM_HOST_DEVICE __host__ __device__
#define TANDEM_FORMULA __host__ __device__ __forceinline__
#else
#define TANDEM_HOST_DEVICE
#define TANDEM_FORMULA TANDEM_ALWAYS_INLINE
#endif

TANDEM_NAMESPACE_BEGIN
/// An int as the bound of an array: GCC's -Wsign-conversion warns of one that depends on a template
/// parameter.
constexpr decltype(sizeof 0) extent(long n) { return static_cast<decltype(sizeof 0)>(n); }
TANDEM_NAMESPACE_END

#if defined(__x86_64__)
#define TANDEM_X86 1
#else
#define TANDEM_X86 0
#endif
