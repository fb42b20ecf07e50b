/// compare — out[i] = a[i] = b[i], <, … , each in its own layout; logical operations of bits;
/// whether numbers are NaN, infinite, finite. Bound by memory.

#include "map.cuh"
#include "tandem/formula/compare.hpp"

namespace tandem_kernels {

template <class F, class T, bool wide>
__global__ void compare_kernel(bool* out, const T* a, const T* b, Places<3, wide> places,
                               std::int64_t n) {
  using C = compute_t<T>;
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    std::int64_t at[3];
    places.find(static_cast<typename Places<3, wide>::Index>(i), at);
    out[at[0]] = F()(static_cast<C>(a[at[1]]), static_cast<C>(b[at[2]]));
  }
}

template <class F, class T>
void compare_elements(Queue& queue, const F&, bool* out, const T* a, const T* b,
                      const tandem::detail::Loop<3>& loop) {
  const std::int64_t n = loop.numel();
  if (n == 0) return;
  if (n < narrow_below()) {
    launch("compare", compare_kernel<F, T, false>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
           out, a, b, Places<3, false>(loop), n);
  } else {
    launch("compare", compare_kernel<F, T, true>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
           out, a, b, Places<3, true>(loop), n);
  }
}

namespace {
using namespace tandem::formula;
template <class T, class... F>
bool register_comparisons() {
  return (tandem::detail::register_kernel<&compare_elements<F, T>>("compare_elements") && ...);
}
template <class T>
bool register_order() {
  return register_comparisons<T, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual>();
}
template <class T>
bool register_classes() {
  return register_comparisons<T, IsNan, IsInfinite, IsFinite>();
}
[[maybe_unused]] const bool registered =
    register_order<float>() && register_order<double>() && register_order<tandem::bfloat16>() &&
    register_order<std::int64_t>() && register_order<std::int32_t>() &&
    register_order<std::uint8_t>() && register_order<bool>() &&
    register_comparisons<bool, Both, Either, Neither>() && register_classes<float>() &&
    register_classes<double>() && register_classes<tandem::bfloat16>();
}  // namespace

}  // namespace tandem_kernels
