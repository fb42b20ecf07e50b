#pragma once
/// max_pool1d — y[n, c, p] = max over the window at p of x[n, c, ·].
///   dx[n, c, q] = Σ dy over the windows that chose q: the first of equals, as max_pool3d.
///   x (N, C, L) → (N, C, L'), sizes in window3d.hpp.  Saves where each maximum was.
///
///   const auto x = tensor<float>({1, 3, 2, 0, 5, 4}).reshape({1, 1, 6});
///   max_pool1d(x, {.kernel = 2});                              // → [[[3., 2., 5.]]]
///   max_pool1d(x, {.kernel = 3, .stride = 2, .padding = 1});   // → [[[3., 3., 5.]]]
///
/// It is max_pool3d of flat volumes. Errors: a kernel that does not fit, padding not below the
/// kernel.

#include "tandem/ops/max_pool3d.hpp"
#include "tandem/ops/parts/volume.hpp"

TANDEM_NAMESPACE_BEGIN

/// The window of max_pool1d.
struct MaxPool1dOptions {
  std::int64_t kernel = 1;  ///< its size
  std::int64_t stride = 0;  ///< 0: the kernel
  Padding1d padding = {};   ///< none, a number, {front, back} or Padding1d::same()
  /// what the margins hold; −∞ never wins
  double padding_value = -std::numeric_limits<double>::infinity();
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> max_pool1d(const Tensor<T>& x,
                                                            const MaxPool1dOptions& options) {
  const char* const op = "max_pool1d";
  detail::require_defined(op, "x", x);
  const Triple kernel = {1, 1, options.kernel};
  const bool none = options.stride == 0;
  return detail::from_volume<1>(
      detail::max_pool(op, detail::to_volume<1>(op, x),
                       {.kernel = kernel,
                        .stride = none ? kernel : Triple{1, 1, options.stride},
                        .padding = detail::as_volume(options.padding),
                        .padding_value = options.padding_value}));
}

TANDEM_NAMESPACE_END
