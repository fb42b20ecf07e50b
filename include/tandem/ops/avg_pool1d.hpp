#pragma once
/// avg_pool1d — y[n, c, p] = (Σ over the window at p of x[n, c, ·]) / m.
///   dx[n, c, q] = Σ dy/m over the windows that contain q
///   m: the taps of the kernel, padding counted (PyTorch's default), or only those inside x.
///   x (N, C, L) → (N, C, L'), sizes in window3d.hpp.  Saves sizes only.
///
///   const auto x = tensor<float>({1, 2, 3, 4, 5, 6}).reshape({1, 1, 6});
///   avg_pool1d(x, {.kernel = 2});                              // → [[[1.5, 3.5, 5.5]]]
///   avg_pool1d(x, {.kernel = 3, .stride = 2, .padding = 1});   // → [[[1., 3., 5.]]]
///
/// It is avg_pool3d of flat volumes. Errors: a kernel that does not fit, padding not below the
/// kernel.

#include "tandem/ops/avg_pool3d.hpp"
#include "tandem/ops/parts/volume.hpp"

TANDEM_NAMESPACE_BEGIN

/// The window of avg_pool1d.
struct AvgPool1dOptions {
  std::int64_t kernel = 1;    ///< its size
  std::int64_t stride = 0;    ///< 0: the kernel
  Padding1d padding = {};     ///< none, a number, {front, back} or Padding1d::same()
  bool count_padding = true;  ///< false: divide by the taps that are inside x
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> avg_pool1d(const Tensor<T>& x,
                                                            const AvgPool1dOptions& options) {
  const char* const op = "avg_pool1d";
  detail::require_defined(op, "x", x);
  const Triple kernel = {1, 1, options.kernel};
  const bool none = options.stride == 0;
  return detail::from_volume<1>(
      detail::avg_pool(op, detail::to_volume<1>(op, x),
                       {.kernel = kernel,
                        .stride = none ? kernel : Triple{1, 1, options.stride},
                        .padding = detail::as_volume(options.padding),
                        .count_padding = options.count_padding}));
}

TANDEM_NAMESPACE_END
