#pragma once
/// linear on a device: the product by kernels/matmul.cu (cuBLAS), the rest by the kernels of its parts.
/// Formula, shapes and what is saved: ops/linear.hpp. Activations: none and quick_gelu.

#include <cstdint>
#include <tuple>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/ops/quick_gelu.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// The shapes have been checked by linear().
template <FloatingElement T>
Tensor<T> linear_on_device(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                           cpu::Activation activation, const Tensor<T>& residual) {
  const char* const op = "linear";
  const bool quick = activation == cpu::Activation::quick_gelu;
  TANDEM_CHECK(quick || activation == cpu::Activation::none, op,
               "has no CUDA kernel for this activation (an input is on ", x.device(),
               "): only none and quick_gelu have one");
  const auto gemm = cuda::require(op, cuda::kernels<T>().gemm, x);
  const auto column_sums = cuda::require(op, cuda::kernels<T>().column_sums, x);
  const Device device = x.device();
  const std::int64_t in = weight.size(1), out = weight.size(0), ld = in > 1 ? in : 1;
  Shape shape = x.shape();
  shape[x.rank() - 1] = out;
  std::int64_t rows = 1;
  for (int d = 0; d + 1 < x.rank(); ++d) rows *= x.shape()[d];
  const Tensor<T> xs = x.detach().contiguous(), ws = weight.detach().contiguous();

  const Tensor<T> z(shape, device);  // the bias in every row, then the product on top
  if (bias.defined()) z.copy_elements(bias.detach());
  if (!bias.defined() && in == 0) z.zero_();
  if (in > 0) {
    gemm(cuda::stream_of(device), false, true, rows, out, in, T(1), xs.device_data(), ld, 0,
         ws.device_data(), ld, 0, bias.defined() ? T(1) : T(0), z.mutable_device_data(),
         out > 1 ? out : 1, 0, 1);
  }
  Tensor<T> y = quick ? map(op, QuickGelu(), z) : z;
  if (residual.defined()) y = map(op, Add(), y, residual.detach());

  return autograd::record(
      op, y,
      [x_shape = x.shape(), xs = autograd::save(xs), ws = autograd::save(ws),
       z = autograd::save(quick ? z : Tensor<T>()), quick, gemm, column_sums, device, rows, in, out,
       ld](const Tensor<T>& dy, autograd::Needs need) {
        const Tensor<T> dz = quick && (need[0] || need[1] || need[2])
                                 ? map("linear", QuickGeluGradient(), dy, z.get())
                                 : dy.contiguous();
        const T* g = dz.device_data();
        const std::int64_t ld_out = out > 1 ? out : 1;
        Tensor<T> dx, dw, db;
        if (need[0]) {
          dx = Tensor<T>(x_shape, device);
          if (out == 0) dx.zero_();
          if (out > 0) {
            gemm(cuda::stream_of(device), false, false, rows, in, out, T(1), g, ld_out, 0,
                 ws.get().device_data(), ld, 0, T(0), dx.mutable_device_data(), ld, 0, 1);
          }
        }
        if (need[1]) {
          dw = Tensor<T>({out, in}, device);
          if (rows == 0) dw.zero_();
          if (rows > 0) {
            gemm(cuda::stream_of(device), true, false, out, in, rows, T(1), g, ld_out, 0,
                 xs.get().device_data(), ld, 0, T(0), dw.mutable_device_data(), ld, 0, 1);
          }
        }
        if (need[2]) {
          db = Tensor<T>({out}, device);
          column_sums(cuda::stream_of(device), db.mutable_device_data(), g, rows, out);
        }
        return std::tuple(dx, dw, db, dy);
      },
      x, weight, bias, residual);
}

}  // namespace detail
TANDEM_NAMESPACE_END
