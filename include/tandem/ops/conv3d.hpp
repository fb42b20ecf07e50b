#pragma once
/// conv3d — y[n, o, p] = b[o] + Σ_{c, k} W[o, c, k] · x[n, c, p·stride + k·dilation − front].
///   dW[o, c, k] = Σ_{n, p} dy[n, o, p] · x[n, c, p·stride + k·dilation − front];  db = Σ_{n, p} dy
///   dx[n, c, q] = Σ_{o, k} W[o, c, k] · dy[n, o, p] over the p with p·stride + k·dilation − front
///   = q (a cross-correlation, as in PyTorch and TensorFlow; x = 0 outside; p, k, q run over depth,
///   height, width)
///   x (N, C, D, H, W), W (O, C/groups, kd, kh, kw), b (O) → (N, O, D', H', W'), sizes in
///   window3d.hpp; b may be undefined.  With groups, each O/groups outputs see C/groups channels,
///   in their order.  With relu, y = max(0, …) and dy is cut off where y = 0.
///   Saves x (when W needs a gradient), W (when x does) and, with relu, y.
///
///   const auto x = ones<float>({1, 3, 8, 6, 6}), w = ones<float>({4, 3, 3, 3, 3});
///   conv3d(x, w, zeros<float>({4}));                                         // → (1, 4, 6, 4, 4)
///   conv3d(x, w, {}, {.stride = {1, 2, 2}, .padding = Padding3d::same()});   // → (1, 4, 8, 3, 3)
///
/// 3 × 3 kernels go through Winograd's tiles (cpu/conv3d.hpp): results within a few roundings of
/// the direct sum's, and an infinity or NaN in x reaches all outputs of its tile; on a GPU each sum
/// is direct, and they reach the outputs that see them. There y of floats is made under
/// PrecisionScope(Precision::bfloat16) of factors that are rounded to it, under tf32 where the
/// kernel is one tap; gradients are products of floats. The fast loops are those of one group
/// without dilation; others are products of tiles of x's windows, on every thread. Errors: shapes
/// that do not fit, groups that do not divide the channels, a kernel larger than the padded x.

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "tandem/cpu/channel_sums.hpp"
#include "tandem/cpu/conv3d_loops.hpp"
#include "tandem/cpu/precision.hpp"
#include "tandem/formula/relu.hpp"
#include "tandem/ops/parts/elementwise.hpp"
#include "tandem/ops/parts/volume.hpp"

TANDEM_NAMESPACE_BEGIN

/// How conv3d moves its window.
struct Conv3dOptions {
  Triple stride = {};       ///< of the window, on each axis
  Padding3d padding = {};   ///< none, margins per axis, Padding3d::all(n) or Padding3d::same()
  Triple dilation = {};     ///< from one tap to the next, on each axis
  std::int64_t groups = 1;  ///< convolutions of C/groups channels each, side by side
  bool relu = false;        ///< max(0, ·) on the result, while it is in the cache
};

namespace detail {

template <class T>
void conv3d_on_cpu(Precision, T* y, const T* x, const T* weight, const T* bias, bool relu,
                   const Window3d& window, std::int64_t samples, std::int64_t in, std::int64_t out,
                   std::int64_t groups) {
  const ConvShape shape{window, samples, in, out, groups};
  if (shape.is_plain()) {
    conv_forward(shape.cpu_shape(), x, weight, bias, relu, y);
  } else {
    conv_forward_tiles(shape, x, weight, bias, relu, y);
  }
}
template <class T>
void conv3d_input_on_cpu(T* dx, const T* dz, const T* weight, const Window3d& window,
                         std::int64_t samples, std::int64_t in, std::int64_t out,
                         std::int64_t groups) {
  conv_input_gradient(ConvShape{window, samples, in, out, groups}, weight, dz, dx);
}
template <class T>
void conv3d_weight_on_cpu(T* dw, const T* dz, const T* x, const Window3d& window,
                          std::int64_t samples, std::int64_t in, std::int64_t out,
                          std::int64_t groups) {
  const ConvShape shape{window, samples, in, out, groups};
  if (samples == 0) {
    std::fill_n(dw, groups * out * shape.k(), T(0));
  } else {
    conv_weight_gradient(shape, x, dz, dw);
  }
}
template <class T>
void conv3d_bias_on_cpu(T* db, const T* dz, std::int64_t samples, std::int64_t out,
                        std::int64_t positions) {
  channel_sums(db, dz, DimSplit{samples, out, positions});
}

/// y = the convolution + bias, cut off at 0 with relu, `precision` a GPU's;  dx and dW of dz, the
/// gradient before the relu;  db. `in` and `out` are channels of one group, the bias gradient's
/// `out` all of them; bias may be null.
template <class T>
inline const Kernel<void(Queue&, Precision precision, T* y, const T* x, const T* weight,
                         const T* bias, bool relu, const Window3d& window, std::int64_t samples,
                         std::int64_t in, std::int64_t out, std::int64_t groups)>
    conv3d_forward{"conv3d_forward", conv3d_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dz, const T* weight, const Window3d& window,
                         std::int64_t samples, std::int64_t in, std::int64_t out,
                         std::int64_t groups)>
    conv3d_input_gradient{"conv3d_input_gradient", conv3d_input_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dw, const T* dz, const T* x, const Window3d& window,
                         std::int64_t samples, std::int64_t in, std::int64_t out,
                         std::int64_t groups)>
    conv3d_weight_gradient{"conv3d_weight_gradient", conv3d_weight_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* db, const T* dz, std::int64_t samples, std::int64_t out,
                         std::int64_t positions)>
    conv3d_bias_gradient{"conv3d_bias_gradient", conv3d_bias_on_cpu<T>};

/// The convolution of all ops that are one. `shown`: the weight's shape in messages.
template <class T>
Tensor<T> convolution(const char* op, const Tensor<T>& x, const Tensor<T>& weight,
                      const Tensor<T>& bias, const Conv3dOptions& options, const Shape& shown) {
  const Shape& k = weight.shape();
  const Window3d window = window3d(op, x.shape(), {k[2], k[3], k[4]}, options.stride,
                                   options.padding, options.dilation);
  const std::int64_t groups = options.groups;
  TANDEM_CHECK(groups >= 1 && k[0] % groups == 0, op, "the weight of shape ", shown,
               " does not divide into ", groups, " groups of outputs");
  TANDEM_CHECK(x.size(1) == k[1] * groups, op, "x has ", x.size(1),
               " channels, the weight of shape ", shown, " takes ", k[1],
               groups == 1 ? "" : concat(" in each of ", groups, " groups"));
  TANDEM_CHECK(!bias.defined() || bias.shape() == Shape{k[0]}, op, "the bias has shape ",
               bias.defined() ? bias.shape() : Shape(), ", expected (", k[0], ",)");
  const Device device = x.device();
  const std::int64_t samples = x.size(0), in = k[1], out = k[0] / groups;
  const Tensor<T> xs = x.detach().contiguous(), ws = weight.detach().contiguous();
  const Tensor<T> b = bias.defined() ? bias.detach().contiguous() : Tensor<T>();
  const Tensor<T> y({samples, k[0], window[0].out, window[1].out, window[2].out}, device);
  conv3d_forward<T>(device, product_precision(), y.mutable_device_data(), xs.device_data(),
                    ws.device_data(), b.defined() ? b.device_data() : nullptr, options.relu, window,
                    samples, in, out, groups);
  const auto keep = [](bool wanted, const Tensor<T>& t) {
    return autograd::save(wanted ? t : Tensor<T>());
  };
  return autograd::record(
      op, y,
      [op, xs = keep(autograd::needs_grad(weight), xs), ws = keep(autograd::needs_grad(x), ws),
       ys = keep(options.relu, y), x_shape = x.shape(), w_shape = k, window, samples, in, out,
       groups](const Tensor<T>& dy, autograd::Needs need) {
        const Tensor<T> dz = ys.defined()
                                 ? map(op, formula::ReluGradient(), dy, ys.get()).contiguous()
                                 : dy.contiguous();
        const Device where = dz.device();
        Tensor<T> dx, dw, db;
        if (need[0]) {
          dx = Tensor<T>(x_shape, where);
          conv3d_input_gradient<T>(where, dx.mutable_device_data(), dz.device_data(),
                                   ws.get().device_data(), window, samples, in, out, groups);
        }
        if (need[1]) {
          dw = Tensor<T>(w_shape, where);
          conv3d_weight_gradient<T>(where, dw.mutable_device_data(), dz.device_data(),
                                    xs.get().device_data(), window, samples, in, out, groups);
        }
        if (need[2]) {
          db = Tensor<T>({w_shape[0]}, where);
          conv3d_bias_gradient<T>(where, db.mutable_device_data(), dz.device_data(), samples,
                                  w_shape[0], window.outputs());
        }
        return std::tuple(dx, dw, db);
      },
      x, weight, bias);
}

template <int axes, class T>
void require_conv_weight(const char* op, const Tensor<T>& weight) {
  TANDEM_CHECK(weight.rank() == axes + 2, op, "expected a weight of shape (out, in, ",
               axis_forms[axes - 1], ", got ", weight.shape());
}
/// The door of the convolutions over `axes` axes; x and the weight get axes of length 1 in front of
/// theirs, and y loses them.
template <int axes, class T>
Tensor<T> convolve(const char* op, const Tensor<T>& x, const Tensor<T>& weight,
                   const Tensor<T>& bias, const Conv3dOptions& options) {
  require_defined(op, "x", x, "weight", weight);
  require_given_or_none(op, "bias", bias);
  require_same_device(op, x, weight, bias);
  require_kernels(op, x, conv3d_forward<T>, conv3d_input_gradient<T>, conv3d_weight_gradient<T>,
                  conv3d_bias_gradient<T>, cpu::map_kernel<formula::ReluGradient, T, 2>);
  if constexpr (axes == 3) {
    require_conv_weight<3>(op, weight);
    return convolution(op, x, weight, bias, options, weight.shape());
  } else {
    const Tensor<T> volume = to_volume<axes>(op, x);
    require_conv_weight<axes>(op, weight);
    Shape k = weight.shape();
    for (int a = axes; a < 3; ++a) k.insert(2, 1);
    return from_volume<axes>(
        convolution(op, volume, weight.reshape(k), bias, options, weight.shape()));
  }
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> conv3d(const Tensor<T>& x, const Tensor<T>& weight,
                                                        const Tensor<T>& bias = {},
                                                        const Conv3dOptions& options = {}) {
  return detail::convolve<3>("conv3d", x, weight, bias, options);
}

TANDEM_NAMESPACE_END
