#pragma once
/// One-lane stand-ins for cpu/simd.hpp and cpu/vmath.hpp, with the same calls.

#include <cmath>
#include <cstdint>

#include "tandem/tensor/config.hpp"

#ifndef TANDEM_INLINE_LAMBDA
#define TANDEM_INLINE_LAMBDA
#endif

TANDEM_NAMESPACE_BEGIN
namespace cpu {
template <class V, class T, class F, class... In>
void vec_map(T* out, std::int64_t n, F&& f, const In*... in) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(in[i]...);
}
template <class Kernel, class T, class... Args>
void simd_dispatch(Args&&... args) {
  Kernel::template run<T>(args...);
}
template <class T> T select(bool m, T a, T b) { return m ? a : b; }
template <class T> T exp(T x) { return std::exp(x); }
template <class T> T log(T x) { return std::log(x); }
template <class T> T log1p(T x) { return std::log1p(x); }
template <class T> T tanh(T x) { return std::tanh(x); }
template <class T> T erf(T x) { return std::erf(x); }
template <class T> T sqrt(T x) { return std::sqrt(x); }
template <class T> T abs(T x) { return std::fabs(x); }
template <class T> T sigmoid(T x) { return 1 / (1 + std::exp(-x)); }
template <class T> T softplus(T x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
}  // namespace cpu
TANDEM_NAMESPACE_END
