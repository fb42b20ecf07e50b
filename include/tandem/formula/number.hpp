#pragma once
/// What formulas are written in, for one number: the names that cpu/simd.hpp and cpu/vmath.hpp have
/// for vectors.
///
/// A formula is a struct whose operator() is a template over its operands. The same text serves a
/// vector of the CPU (tandem::cpu::Vec, whose functions are found by its namespace), a plain
/// number, and a thread of a GPU:
///
///   struct Softplus {
///     template <class V>
///     TANDEM_FORMULA V operator()(V x) const {
///       return max(V(0), x) + log1p(exp(-abs(x)));
///     }
///   };
///
/// Numbers take the C library's functions, or on a GPU CUDA's; their errors are a few units in the
/// last place (CUDA C++ Programming Guide, "Mathematical Functions"). Division and square root
/// round correctly.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

namespace detail {
template <class V>
struct ElementOf {
  using type = V;
};
template <class V>
requires requires { typename V::value_type; }
struct ElementOf<V> {
  using type = typename V::value_type;
};
}  // namespace detail

/// What one lane of V holds; V itself if it is a number.
template <class V>
using element_t = typename detail::ElementOf<V>::type;

#define TANDEM_NUMBER_FUNCTION(name, of_float, of_double)      \
  TANDEM_FORMULA float name(float x) { return ::of_float(x); } \
  TANDEM_FORMULA double name(double x) { return ::of_double(x); }
TANDEM_NUMBER_FUNCTION(exp, expf, exp)
TANDEM_NUMBER_FUNCTION(log, logf, log)
TANDEM_NUMBER_FUNCTION(log1p, log1pf, log1p)
TANDEM_NUMBER_FUNCTION(sqrt, sqrtf, sqrt)
TANDEM_NUMBER_FUNCTION(tanh, tanhf, tanh)
TANDEM_NUMBER_FUNCTION(erf, erff, erf)
TANDEM_NUMBER_FUNCTION(sin, sinf, sin)
TANDEM_NUMBER_FUNCTION(cos, cosf, cos)
TANDEM_NUMBER_FUNCTION(floor, floorf, floor)
TANDEM_NUMBER_FUNCTION(abs, fabsf, fabs)
#undef TANDEM_NUMBER_FUNCTION

TANDEM_FORMULA float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
TANDEM_FORMULA double fma(double a, double b, double c) { return ::fma(a, b, c); }
TANDEM_FORMULA float pow(float x, float p) { return ::powf(x, p); }
TANDEM_FORMULA double pow(double x, double p) { return ::pow(x, p); }
TANDEM_FORMULA float fmod(float a, float b) { return ::fmodf(a, b); }
TANDEM_FORMULA double fmod(double a, double b) { return ::fmod(a, b); }

/// The smaller and the larger one; b if either is NaN, so max(0, x) keeps the NaN of x.
template <class C>
requires(std::is_arithmetic_v<C>) TANDEM_FORMULA C min(C a, C b) { return a < b ? a : b; }
template <class C>
requires(std::is_arithmetic_v<C>) TANDEM_FORMULA C max(C a, C b) { return a > b ? a : b; }
/// The larger one; NaN if either is.
template <class C>
requires(std::is_arithmetic_v<C>) TANDEM_FORMULA C max_nan(C a, C b) {
  return a > b || a != a ? a : b;
}
template <class C>
requires(std::is_arithmetic_v<C>) TANDEM_FORMULA C select(bool condition, C a, C b) {
  return condition ? a : b;
}

}  // namespace formula
TANDEM_NAMESPACE_END
