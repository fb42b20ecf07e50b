#pragma once
/// linear_bf16 — linear with a bfloat16 weight: y = act(x̃·Wᵀ + b) + r, x̃ = x rounded to bfloat16.
///   z = x̃·Wᵀ + b;   dz = dy·act′(z);   dx = dz̃·W;   dW = dz̃ᵀ·x̃;   db = Σ rows of dz;   dr = dy
///   x (…, in) float, W (out, in) bfloat16, b (out), r (…, out) float → (…, out) float.
///   Products of bfloat16 are exact and added up in float; bias, activation and residual are float.
///   b and r may be undefined.  Saves W; x̃ only when W needs a gradient; z when there is an
///   activation.  With W frozen an upstream gradient costs one product.
///
///   const auto x = tensor<float>({{1, 2}}), w = tensor<float>({{1, 1}, {-1, 0}});
///   linear_bf16(x, w.to<bfloat16>(), {}, Activation::relu);   // → [[3., 0.]]
///
/// Errors: shapes that do not fit; tensors on different devices.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/convert.hpp"
#include "tandem/ops/linear.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

inline void round_on_cpu(bfloat16* to, const float* x, std::int64_t n) {
  cpu::round_to_bfloat16(x, to, n);
}
inline const Kernel<void(Queue&, bfloat16* to, const float* x, std::int64_t n)> round_to_bfloat16{
    "round_to_bfloat16", round_on_cpu};

inline void low_product_on_cpu(cpu::Trans ta, cpu::Trans tb, std::int64_t m, std::int64_t n,
                               std::int64_t k, const bfloat16* a, std::int64_t lda,
                               const bfloat16* b, std::int64_t ldb, float* c, std::int64_t ldc,
                               const cpu::Epilogue<float>& epilogue) {
  cpu::gemm<bfloat16, float>(ta, tb, m, n, k, 1.0F, a, lda, b, ldb, 0.0F, c, ldc, epilogue);
}
/// C = op(A)·op(B) with the epilogue, C (m, n), the inner dimension k.
inline const Kernel<void(Queue&, cpu::Trans ta, cpu::Trans tb, std::int64_t m, std::int64_t n,
                         std::int64_t k, const bfloat16* a, std::int64_t lda, const bfloat16* b,
                         std::int64_t ldb, float* c, std::int64_t ldc,
                         const cpu::Epilogue<float>& epilogue)>
    linear_bf16_product{"linear_bf16_product", low_product_on_cpu};

/// x rounded to bfloat16, dense; records nothing.
inline Tensor<bfloat16> rounded_rows(const Tensor<float>& x) {
  const Tensor<float> dense = x.detach().contiguous();
  const Tensor<bfloat16> out(x.shape(), x.device());
  round_to_bfloat16(x.device(), out.mutable_device_data(), dense.device_data(), x.numel());
  return out;
}

}  // namespace detail

inline Tensor<float> linear_bf16(const Tensor<float>& x, const Tensor<bfloat16>& weight,
                                 const Tensor<float>& bias = {},
                                 Activation activation = Activation::none,
                                 const Tensor<float>& residual = {}) {
  const char* const op = "linear_bf16";
  detail::require_defined(op, "x", x, "weight", weight);
  detail::require_given_or_none(op, "bias", bias, "residual", residual);
  detail::require_same_device(op, x, weight, bias, residual);
  const Shape shape = detail::linear_shape(op, x, weight, bias, residual);
  const std::int64_t in = weight.size(1), out = weight.size(0);
  detail::require_kernels(op, x, detail::linear_bf16_product, detail::round_to_bfloat16,
                          detail::activation_backward_kernel<float>,
                          detail::column_sums_kernel<float>);
  std::int64_t rows = 1;
  for (int d = 0; d + 1 < x.rank(); ++d) rows *= shape[d];

  const Tensor<bfloat16> xs = detail::rounded_rows(x), ws = weight.detach().contiguous();
  const Device device = x.device();
  const Tensor<float> y(shape, device);
  detail::LinearEpilogue<float> epilogue(bias, activation, residual);
  if (activation != Activation::none && autograd::needs_grad(x, weight, bias))
    epilogue.keep_z(shape, device);
  detail::linear_bf16_product(device, cpu::Trans::no, cpu::Trans::yes, rows, out, in,
                              xs.device_data(), in, ws.device_data(), in, y.mutable_device_data(),
                              out, epilogue.call);

  return autograd::record(
      op, y,
      [xs = autograd::save(autograd::needs_grad(weight) ? xs : Tensor<bfloat16>()),
       ws = autograd::save(ws), z = autograd::save(epilogue.z), x_shape = x.shape(), rows, in, out,
       activation](const Tensor<float>& dy, autograd::Needs need) {
        Tensor<float> dz = dy.contiguous(), dx, db;
        Tensor<bfloat16> dw;
        if (z.defined()) dz = detail::activation_backward(activation, z.get(), dz);
        if (need[0] || need[1]) {
          const Tensor<bfloat16> g = detail::rounded_rows(dz);
          if (need[0]) {
            dx = Tensor<float>(x_shape, dy.device());
            detail::linear_bf16_product(dy.device(), cpu::Trans::no, cpu::Trans::no, rows, in, out,
                                        g.device_data(), out, ws.get().device_data(), in,
                                        dx.mutable_device_data(), in, {});
          }
          if (need[1]) {
            const Tensor<float> exact({out, in}, dy.device());
            detail::linear_bf16_product(dy.device(), cpu::Trans::yes, cpu::Trans::no, out, in, rows,
                                        g.device_data(), out, xs.get().device_data(), in,
                                        exact.mutable_device_data(), in, {});
            dw = detail::rounded_rows(exact);
          }
        }
        if (need[2]) db = detail::column_sums(dz.detach().view({rows, out}));
        return std::tuple(dx, dw, db, dy);
      },
      x, weight, bias, residual);
}

TANDEM_NAMESPACE_END
