#pragma once
/// conv3d — y[n, o, p] = b[o] + Σ_{c, k} W[o, c, k] · x[n, c, p·stride + k − front], x = 0 outside.
///   dW[o, c, k] = Σ_{n, p} dy[n, o, p] · x[n, c, p·stride + k − front];   db = Σ_{n, p} dy
///   dx[n, c, q] = Σ_{o, k} W[o, c, k] · dy[n, o, p] over the p with p·stride + k − front = q
///   (a cross-correlation, as in PyTorch and TensorFlow; p, k, q run over depth, height, width)
///   x (N, C, D, H, W), W (O, C, kd, kh, kw), b (O) → (N, O, D', H', W'), sizes in window3d.hpp;
///   b may be undefined.  With relu, y = max(0, …) and dy is cut off where y = 0.
///   Saves x (when W needs a gradient), W (when x does) and, with relu, y.
///
///   Tensor<float> y = conv3d(x, weight, bias);
///   y = conv3d(x, weight, {}, {.stride = {1, 2, 2}, .padding = Padding3d::same(), .relu = true});
///
/// 3 × 3 kernels go through Winograd's tiles (cpu/conv3d.hpp): results within a few roundings of
/// the direct sum's, and an infinity or NaN in x reaches all outputs of its tile; on a GPU each sum
/// is direct, and they reach the outputs that see them. Errors: shapes
/// that do not fit, a kernel larger than the padded x.

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "tandem/cpu/channel_sums.hpp"
#include "tandem/cpu/conv3d_loops.hpp"
#include "tandem/formula/relu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

/// How conv3d moves its window.
struct Conv3dOptions {
  Triple stride = {};      ///< of the window, on each axis
  Padding3d padding = {};  ///< none, margins per axis, Padding3d::all(n) or Padding3d::same()
  bool relu = false;       ///< max(0, ·) on the result, while it is in the cache
};

namespace detail {

template <class T>
void conv3d_on_cpu(T* y, const T* x, const T* weight, const T* bias, bool relu,
                   const Window3d& window, std::int64_t samples, std::int64_t in,
                   std::int64_t out) {
  const ConvShape shape{window, samples, in, out};
  conv_forward(shape.cpu_shape(), x, weight, bias, relu, y);
}
template <class T>
void conv3d_input_on_cpu(T* dx, const T* dz, const T* weight, const Window3d& window,
                         std::int64_t samples, std::int64_t in, std::int64_t out) {
  conv_input_gradient(ConvShape{window, samples, in, out}, weight, dz, dx);
}
template <class T>
void conv3d_weight_on_cpu(T* dw, const T* dz, const T* x, const Window3d& window,
                          std::int64_t samples, std::int64_t in, std::int64_t out) {
  const ConvShape shape{window, samples, in, out};
  if (samples == 0) {
    std::fill_n(dw, out * shape.k(), T(0));
  } else {
    conv_weight_gradient(shape, x, dz, dw);
  }
}
template <class T>
void conv3d_bias_on_cpu(T* db, const T* dz, std::int64_t samples, std::int64_t out,
                        std::int64_t positions) {
  channel_sums(db, dz, DimSplit{samples, out, positions});
}

/// y = the convolution + bias, cut off at 0 with relu;  dx and dW of dz, the gradient before the
/// relu;  db. `in` and `out` are channels; bias may be null.
template <class T>
inline const Kernel<void(Queue&, T* y, const T* x, const T* weight, const T* bias, bool relu,
                         const Window3d& window, std::int64_t samples, std::int64_t in,
                         std::int64_t out)>
    conv3d_forward{"conv3d_forward", conv3d_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dz, const T* weight, const Window3d& window,
                         std::int64_t samples, std::int64_t in, std::int64_t out)>
    conv3d_input_gradient{"conv3d_input_gradient", conv3d_input_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dw, const T* dz, const T* x, const Window3d& window,
                         std::int64_t samples, std::int64_t in, std::int64_t out)>
    conv3d_weight_gradient{"conv3d_weight_gradient", conv3d_weight_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* db, const T* dz, std::int64_t samples, std::int64_t out,
                         std::int64_t positions)>
    conv3d_bias_gradient{"conv3d_bias_gradient", conv3d_bias_on_cpu<T>};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> conv3d(const Tensor<T>& x, const Tensor<T>& weight,
                                                        const Tensor<T>& bias = {},
                                                        const Conv3dOptions& options = {}) {
  const char* const op = "conv3d";
  detail::require_defined(op, "x", x, "weight", weight);
  detail::require_given_or_none(op, "bias", bias);
  detail::require_same_device(op, x, weight, bias);
  detail::require_kernels(op, x, detail::conv3d_forward<T>, detail::conv3d_input_gradient<T>,
                          detail::conv3d_weight_gradient<T>, detail::conv3d_bias_gradient<T>,
                          cpu::map_kernel<formula::ReluGradient, T, 2>);
  TANDEM_CHECK(weight.rank() == 5, op,
               "expected a weight of shape (out, in, depth, height, width), got ", weight.shape());
  const Shape& k = weight.shape();
  const detail::Window3d window =
      detail::window3d(op, x.shape(), {k[2], k[3], k[4]}, options.stride, options.padding);
  TANDEM_CHECK(x.size(1) == k[1], op, "x has ", x.size(1), " channels, the weight of shape ", k,
               " takes ", k[1]);
  TANDEM_CHECK(!bias.defined() || bias.shape() == Shape{k[0]}, op, "the bias has shape ",
               bias.defined() ? bias.shape() : Shape(), ", expected (", k[0], ",)");
  const Device device = x.device();
  const std::int64_t samples = x.size(0), in = k[1], out = k[0];
  const Tensor<T> xs = x.detach().contiguous(), ws = weight.detach().contiguous();
  const Tensor<T> b = bias.defined() ? bias.detach().contiguous() : Tensor<T>();
  const Tensor<T> y({samples, out, window[0].out, window[1].out, window[2].out}, device);
  detail::conv3d_forward<T>(device, y.mutable_device_data(), xs.device_data(), ws.device_data(),
                            b.defined() ? b.device_data() : nullptr, options.relu, window, samples,
                            in, out);
  const auto keep = [](bool wanted, const Tensor<T>& t) {
    return autograd::save(wanted ? t : Tensor<T>());
  };
  return autograd::record(
      op, y,
      [xs = keep(autograd::needs_grad(weight), xs), ws = keep(autograd::needs_grad(x), ws),
       ys = keep(options.relu, y), x_shape = x.shape(), w_shape = k, window, samples, in,
       out](const Tensor<T>& dy, autograd::Needs need) {
        const Tensor<T> dz =
            ys.defined() ? detail::map("conv3d", formula::ReluGradient(), dy, ys.get()).contiguous()
                         : dy.contiguous();
        const Device where = dz.device();
        Tensor<T> dx, dw, db;
        if (need[0]) {
          dx = Tensor<T>(x_shape, where);
          detail::conv3d_input_gradient<T>(where, dx.mutable_device_data(), dz.device_data(),
                                           ws.get().device_data(), window, samples, in, out);
        }
        if (need[1]) {
          dw = Tensor<T>(w_shape, where);
          detail::conv3d_weight_gradient<T>(where, dw.mutable_device_data(), dz.device_data(),
                                            xs.get().device_data(), window, samples, in, out);
        }
        if (need[2]) {
          db = Tensor<T>({out}, where);
          detail::conv3d_bias_gradient<T>(where, db.mutable_device_data(), dz.device_data(),
                                          samples, out, window.outputs());
        }
        return std::tuple(dx, dw, db);
      },
      x, weight, bias);
}

TANDEM_NAMESPACE_END
