#pragma once
/// conv2d — y[n, o, p] = b[o] + Σ_{c, k} W[o, c, k] · x[n, c, p·stride + k·dilation − front].
///   dW[o, c, k] = Σ_{n, p} dy[n, o, p] · x[n, c, p·stride + k·dilation − front];  db = Σ_{n, p} dy
///   dx[n, c, q] = Σ_{o, k} W[o, c, k] · dy[n, o, p] over the p with p·stride + k·dilation − front
///   = q (a cross-correlation, as in PyTorch; x = 0 outside; p, k, q run over height and width)
///   x (N, C, H, W), W (O, C/groups, kh, kw), b (O) → (N, O, H', W'), sizes in window3d.hpp; b may
///   be undefined.  Saves as conv3d.
///
///   const auto x = ones<float>({1, 1, 3, 3}), w = ones<float>({1, 1, 3, 3});
///   conv2d(x, w, {}, {.padding = 1});          // → [[[[4., 6., 4.], [6., 9., 6.], [4., 6., 4.]]]]
///   conv2d(ones<float>({2, 8, 5, 5}), ones<float>({8, 2, 3, 3}), {},
///          {.padding = Padding2d::same(), .dilation = {1, 2}, .groups = 4});   // → (2, 8, 5, 5)
///
/// It is conv3d of images of depth 1, with its loops: Winograd's tiles for 3 × 3 kernels (the
/// accuracy is told there), tiles of windows with groups or dilation. Errors: as conv3d.

#include "tandem/ops/conv3d.hpp"

TANDEM_NAMESPACE_BEGIN

/// How conv2d moves its window. A number is both axes', {a, b} that of the height and the width.
struct Conv2dOptions {
  Pair stride = {};         ///< of the window
  Padding2d padding = {};   ///< none, n, {n, m}, margins per axis or Padding2d::same()
  Pair dilation = {};       ///< from one tap to the next
  std::int64_t groups = 1;  ///< convolutions of C/groups channels each, side by side
  bool relu = false;        ///< max(0, ·) on the result, while it is in the cache
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& weight,
                                                        const Tensor<T>& bias = {},
                                                        const Conv2dOptions& options = {}) {
  return detail::convolve<2>("conv2d", x, weight, bias,
                             {.stride = detail::as_volume(options.stride),
                              .padding = detail::as_volume(options.padding),
                              .dilation = detail::as_volume(options.dilation),
                              .groups = options.groups,
                              .relu = options.relu});
}

TANDEM_NAMESPACE_END
