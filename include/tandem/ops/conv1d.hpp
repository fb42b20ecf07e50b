#pragma once
/// conv1d — y[n, o, p] = b[o] + Σ_{c, k} W[o, c, k] · x[n, c, p·stride + k·dilation − front].
///   dW[o, c, k] = Σ_{n, p} dy[n, o, p] · x[n, c, p·stride + k·dilation − front];  db = Σ_{n, p} dy
///   dx[n, c, q] = Σ_{o, k} W[o, c, k] · dy[n, o, p] over the p with p·stride + k·dilation − front
///   = q (a cross-correlation, as in PyTorch; x = 0 outside)
///   x (N, C, L), W (O, C/groups, k), b (O) → (N, O, L'), sizes in window3d.hpp; b may be
///   undefined.
///   Saves as conv3d.
///
///   const auto x = tensor<float>({1, 2, 3, 4}).reshape({1, 1, 4}), w = ones<float>({1, 1, 3});
///   conv1d(x, w, {}, {.padding = Padding1d::same()});   // → [[[3., 6., 9., 7.]]]
///   conv1d(x, w, {}, {.padding = {2, 0}});              // → [[[1., 3., 6., 9.]]]   nothing later
///
/// It is conv3d of volumes of depth and height 1, with its loops: a matrix product, whose right
/// factor is packed from x; tiles of windows with groups or dilation. Errors: as conv3d.

#include "tandem/ops/conv3d.hpp"

TANDEM_NAMESPACE_BEGIN

/// How conv1d moves its window.
struct Conv1dOptions {
  std::int64_t stride = 1;    ///< of the window
  Padding1d padding = {};     ///< none, n, {front, back} or Padding1d::same()
  std::int64_t dilation = 1;  ///< from one tap to the next
  std::int64_t groups = 1;    ///< convolutions of C/groups channels each, side by side
  bool relu = false;          ///< max(0, ·) on the result, while it is in the cache
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> conv1d(const Tensor<T>& x, const Tensor<T>& weight,
                                                        const Tensor<T>& bias = {},
                                                        const Conv1dOptions& options = {}) {
  return detail::convolve<1>("conv1d", x, weight, bias,
                             {.stride = {1, 1, options.stride},
                              .padding = detail::as_volume(options.padding),
                              .dilation = {1, 1, options.dilation},
                              .groups = options.groups,
                              .relu = options.relu});
}

TANDEM_NAMESPACE_END
