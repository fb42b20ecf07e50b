#pragma once
/// avg_pool2d — y[n, c, p] = (Σ over the window at p of x[n, c, ·]) / m.
///   dx[n, c, q] = Σ dy/m over the windows that contain q
///   m: the taps of the kernel, padding counted (PyTorch's default), or only those inside x.
///   x (N, C, H, W) → (N, C, H', W'), sizes in window3d.hpp.  Saves sizes only.
///
///   const auto x = arange<float>(16).reshape({1, 1, 4, 4});
///   avg_pool2d(x, {.kernel = 2});                              // → [[[[2.5, 4.5], [10.5, 12.5]]]]
///   avg_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1});   // → (1, 1, 2, 2)
///
/// It is avg_pool3d of flat volumes. Errors: a kernel that does not fit, padding not below the
/// kernel.

#include "tandem/ops/avg_pool3d.hpp"
#include "tandem/ops/parts/volume.hpp"

TANDEM_NAMESPACE_BEGIN

/// The window of avg_pool2d.
struct AvgPool2dOptions {
  Pair kernel;                ///< its size, a number or {height, width}
  Pair stride = 0;            ///< 0: the kernel
  Padding2d padding = {};     ///< none, a number, {n, m}, margins or Padding2d::same()
  bool count_padding = true;  ///< false: divide by the taps that are inside x
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> avg_pool2d(const Tensor<T>& x,
                                                            const AvgPool2dOptions& options) {
  const char* const op = "avg_pool2d";
  detail::require_defined(op, "x", x);
  const Triple kernel = detail::as_volume(options.kernel);
  const bool none = options.stride.height == 0 && options.stride.width == 0;
  return detail::from_volume<2>(
      detail::avg_pool(op, detail::to_volume<2>(op, x),
                       {.kernel = kernel,
                        .stride = none ? kernel : detail::as_volume(options.stride),
                        .padding = detail::as_volume(options.padding),
                        .count_padding = options.count_padding}));
}

TANDEM_NAMESPACE_END
