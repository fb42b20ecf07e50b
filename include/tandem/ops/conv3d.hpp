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
/// the direct sum's, and an infinity or NaN in x reaches all outputs of its tile. Errors: shapes
/// that do not fit, a kernel larger than the padded x.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/channel_sums.hpp"
#include "tandem/cpu/conv3d_loops.hpp"
#include "tandem/formula/relu.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

struct Conv3dOptions {
  Triple stride = {};
  Padding3d padding = {};  ///< none, margins per axis, Padding3d::all(n) or Padding3d::same()
  bool relu = false;       ///< max(0, ·) on the result, while it is in the cache
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> conv3d(const Tensor<T>& x, const Tensor<T>& weight,
                                                        const Tensor<T>& bias = {},
                                                        const Conv3dOptions& options = {}) {
  const char* const op = "conv3d";
  detail::require_defined(op, "x", x, "weight", weight);
  detail::require_given_or_none(op, "bias", bias);
  detail::require_cpu(op, x, weight, bias);
  TANDEM_CHECK(weight.rank() == 5, op,
               "expected a weight of shape (out, in, depth, height, width), got ", weight.shape());
  const Shape& k = weight.shape();
  const detail::Window3d window =
      detail::window3d(op, x.shape(), {k[2], k[3], k[4]}, options.stride, options.padding);
  TANDEM_CHECK(x.size(1) == k[1], op, "x has ", x.size(1), " channels, the weight of shape ", k,
               " takes ", k[1]);
  TANDEM_CHECK(!bias.defined() || bias.shape() == Shape{k[0]}, op, "the bias has shape ",
               bias.defined() ? bias.shape() : Shape(), ", expected (", k[0], ",)");
  const detail::ConvShape shape{window, x.size(0), k[1], k[0]};
  const Tensor<T> xs = x.detach().contiguous(), ws = weight.detach().contiguous();
  const Tensor<T> b = bias.defined() ? bias.detach().contiguous() : Tensor<T>();
  const Tensor<T> y({shape.samples, shape.out, window[0].out, window[1].out, window[2].out});
  detail::conv_forward(shape.cpu_shape(), xs.data(), ws.data(), b.defined() ? b.data() : nullptr,
                       options.relu, y.mutable_data());
  const auto keep = [](bool wanted, const Tensor<T>& t) {
    return autograd::save(wanted ? t : Tensor<T>());
  };
  return autograd::record(
      op, y,
      [xs = keep(autograd::needs_grad(weight), xs), ws = keep(autograd::needs_grad(x), ws),
       ys = keep(options.relu, y), x_shape = x.shape(), w_shape = k,
       shape](const Tensor<T>& dy, autograd::Needs need) {
        const Tensor<T> dz =
            ys.defined() ? detail::map("conv3d", formula::ReluGradient(), dy, ys.get()).contiguous()
                         : dy.contiguous();
        Tensor<T> dx, dw, db;
        if (need[0]) {
          dx = Tensor<T>(x_shape);
          detail::conv_input_gradient(shape, ws.get().data(), dz.data(), dx.mutable_data());
        }
        if (need[1]) {
          dw = shape.samples > 0 ? Tensor<T>(w_shape) : zeros<T>(w_shape);
          if (shape.samples > 0) {
            detail::conv_weight_gradient(shape, xs.get().data(), dz.data(), dw.mutable_data());
          }
        }
        if (need[2]) db = detail::channel_sums(dz.data(), detail::split_at(dz.shape(), 1));
        return std::tuple(dx, dw, db);
      },
      x, weight, bias);
}

TANDEM_NAMESPACE_END
