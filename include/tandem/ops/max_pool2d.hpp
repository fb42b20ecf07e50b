#pragma once
/// max_pool2d — y[n, c, p] = max over the window at p of x[n, c, ·].
///   dx[n, c, q] = Σ dy over the windows that chose q: the first of equals, as max_pool3d.
///   x (N, C, H, W) → (N, C, H', W'), sizes in window3d.hpp.  Saves where each maximum was.
///
///   const auto x = arange<float>(16).reshape({1, 1, 4, 4});
///   max_pool2d(x, {.kernel = 2});                              // → [[[[5., 7.], [13., 15.]]]]
///   max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1});   // → (1, 1, 2, 2)
///
/// It is max_pool3d of flat volumes. Errors: a kernel that does not fit, padding not below the
/// kernel.

#include "tandem/ops/max_pool3d.hpp"
#include "tandem/ops/parts/volume.hpp"

TANDEM_NAMESPACE_BEGIN

/// The window of max_pool2d.
struct MaxPool2dOptions {
  Pair kernel;             ///< its size, a number or {height, width}
  Pair stride = 0;         ///< 0: the kernel
  Padding2d padding = {};  ///< none, a number, {n, m}, margins or Padding2d::same()
  /// what the margins hold; −∞ never wins
  double padding_value = -std::numeric_limits<double>::infinity();
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> max_pool2d(const Tensor<T>& x,
                                                            const MaxPool2dOptions& options) {
  const char* const op = "max_pool2d";
  detail::require_defined(op, "x", x);
  const Triple kernel = detail::as_volume(options.kernel);
  const bool none = options.stride.height == 0 && options.stride.width == 0;
  return detail::from_volume<2>(
      detail::max_pool(op, detail::to_volume<2>(op, x),
                       {.kernel = kernel,
                        .stride = none ? kernel : detail::as_volume(options.stride),
                        .padding = detail::as_volume(options.padding),
                        .padding_value = options.padding_value}));
}

TANDEM_NAMESPACE_END
