#pragma once
/// linear — y = act(x·Wᵀ + b) + r, one product with everything else done while it is in the cache.
///   z = x·Wᵀ + b;   dz = dy·act′(z);   dx = dz·W;   dW = dzᵀ·x;   db = Σ rows of dz;   dr = dy
///   x (…, in), W (out, in), b (out), r (…, out) → (…, out).  b and r may be undefined.
///   Saves x (when W needs a gradient), W and, when there is an activation, z.
///   act: none, relu, gelu (exact, with erf), quick_gelu x·σ(1.702 x).
///   Under PrecisionScope(Precision::bfloat16) the three products round x, W and dz
///   (cpu/precision.hpp).
///
///   const auto x = tensor<float>({{1, 2}}), w = tensor<float>({{1, 1}, {1, -1}, {2, 0}});
///   linear(x, w, tensor<float>({0, 0, 1}));                  // → [[3., -1., 3.]]
///   const auto y = linear(x, w, {}, Activation::relu);       // → [[3., 0., 2.]]
///   linear(y, w.transpose(0, 1), {}, Activation::none, x);   // → [[8., 5.]]   + x
///
/// Errors: shapes that do not fit; tensors on different devices.

#include <cmath>
#include <cstdint>
#include <tuple>

#include "tandem/cpu/column_sums.hpp"
#include "tandem/cpu/gemm.hpp"
#include "tandem/cpu/precision.hpp"
#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// x (…, n) as a matrix (rows, n) whose rows GEMM can read; a dense copy when it cannot.
template <class T>
struct Rows {
  explicit Rows(const Tensor<T>& given) : x(given), count(1) {
    const std::int64_t n = x.shape().back();
    for (int d = 0; d + 1 < x.rank(); ++d) count *= x.shape()[d];
    Strides strides;
    const bool even = reshape_strides(x.shape(), x.strides(), Shape{count, n}, strides);
    const MatrixLayout layout =
        even ? matrix_layout(count, n, strides[0], strides[1]) : MatrixLayout{.copy = true};
    ld = layout.ld;
    if (layout.copy || layout.trans == cpu::Trans::yes) {
      x = x.contiguous();
      ld = n > 1 ? n : 1;
    }
  }
  Tensor<T> x;
  std::int64_t count, ld;
};

/// dz = dy·act′(z), n elements.
struct ActivationBackward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(Activation activation, const T* z, const T* dy, T* dz,
                                       std::int64_t n) {
    formula::with_activation_gradient(activation, [&](auto gradient) TANDEM_INLINE_LAMBDA {
      cpu::vec_map<V>(
          n, dz, [=](V x, V g) TANDEM_INLINE_LAMBDA { return gradient(g, x); }, z, dy);
    });
  }
};

template <class T>
void activation_backward_on_cpu(Activation activation, const T* z, const T* dy, T* dz,
                                std::int64_t n) {
  cpu::parallel_for(n, cpu::elementwise_grain / 4, [&](std::int64_t begin, std::int64_t end) {
    cpu::simd_dispatch<ActivationBackward, T>(activation, z + begin, dy + begin, dz + begin,
                                              end - begin);
  });
}

template <class T>
inline const Kernel<void(Queue&, Activation activation, const T* z, const T* dy, T* dz,
                         std::int64_t n)>
    activation_backward_kernel{"activation_backward", activation_backward_on_cpu<T>};

/// dz = dy·act′(z) for dense tensors of one shape.
template <class T>
Tensor<T> activation_backward(Activation activation, const Tensor<T>& z, const Tensor<T>& dy) {
  const Tensor<T> dz(dy.shape(), dy.device());
  activation_backward_kernel<T>(dy.device(), activation, z.device_data(), dy.device_data(),
                                dz.mutable_device_data(), dy.numel());
  return dz;
}

/// The shape of the result; throws unless everything fits. W: the weight's element.
template <class T, class W>
Shape linear_shape(const char* op, const Tensor<T>& x, const Tensor<W>& weight,
                   const Tensor<T>& bias, const Tensor<T>& residual) {
  TANDEM_CHECK(x.rank() >= 1 && weight.rank() == 2 && x.shape().back() == weight.size(1), op,
               "x of shape ", x.shape(), " does not fit a weight (out, in) of shape ",
               weight.shape());
  const std::int64_t out = weight.size(0);
  TANDEM_CHECK(!bias.defined() || bias.shape() == Shape{out}, op, "the bias has shape ",
               bias.defined() ? bias.shape() : Shape(), ", expected (", out, ",)");
  Shape shape = x.shape();
  shape[x.rank() - 1] = out;
  TANDEM_CHECK(!residual.defined() || residual.shape() == shape, op, "the residual has shape ",
               residual.defined() ? residual.shape() : Shape(), ", the result ", shape);
  return shape;
}

/// What is done to the product x·Wᵀ before it leaves the cache, with the tensors that it reads.
template <class T>
struct LinearEpilogue {
  LinearEpilogue(const Tensor<T>& bias, Activation activation, const Tensor<T>& residual) {
    call.activation = activation;
    if (bias.defined()) call.bias = (b = bias.detach().contiguous()).device_data();
    if (residual.defined()) {
      call.residual = (r = residual.detach().contiguous()).device_data();
      call.ld_residual = residual.shape().back();
    }
  }
  /// Writes z = x·Wᵀ + b too, of the result's shape: act′ needs it.
  void keep_z(const Shape& shape, Device device = Device::cpu()) {
    z = Tensor<T>(shape, device);
    call.pre_activation = z.mutable_device_data();
    call.ld_pre = shape.back();
  }
  Tensor<T> b, r, z;
  cpu::Epilogue<T> call;
};

template <class T>
void product_on_cpu(Precision precision, cpu::Trans ta, cpu::Trans tb, std::int64_t m,
                    std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, const T* b,
                    std::int64_t ldb, T* c, std::int64_t ldc, const cpu::Epilogue<T>& epilogue) {
  if constexpr (std::is_same_v<T, float>) {
    if (precision == Precision::bfloat16) {
      return cpu::gemm<cpu::Rounded, float>(ta, tb, m, n, k, 1.0F, cpu::rounded(a), lda,
                                            cpu::rounded(b), ldb, 0.0F, c, ldc, epilogue);
    }
  }
  cpu::gemm<T, T>(ta, tb, m, n, k, T(1), a, lda, b, ldb, T(0), c, ldc, epilogue);
}

/// C = op(A)·op(B) with the epilogue, C (m, n), the inner dimension k; factors rounded to bfloat16
/// where `precision` says so.
template <class T>
inline const Kernel<void(Queue&, Precision precision, cpu::Trans ta, cpu::Trans tb, std::int64_t m,
                         std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, const T* b,
                         std::int64_t ldb, T* c, std::int64_t ldc,
                         const cpu::Epilogue<T>& epilogue)>
    linear_product{"linear_product", product_on_cpu<T>};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight,
                                                        const Tensor<T>& bias = {},
                                                        Activation activation = Activation::none,
                                                        const Tensor<T>& residual = {}) {
  const char* const op = "linear";
  detail::require_defined(op, "x", x, "weight", weight);
  detail::require_given_or_none(op, "bias", bias, "residual", residual);
  detail::require_same_device(op, x, weight, bias, residual);
  const Shape shape = detail::linear_shape(op, x, weight, bias, residual);
  const std::int64_t in = weight.size(1), out = weight.size(0);
  detail::require_kernels(op, x, detail::linear_product<T>, detail::activation_backward_kernel<T>,
                          detail::column_sums_kernel<T>);

  const Device device = x.device();
  const detail::Rows<T> rows(x.detach());
  const detail::MatrixBatch<T> w(weight.detach());
  const Tensor<T> y(shape, device);
  detail::LinearEpilogue<T> epilogue(bias, activation, residual);
  if (activation != Activation::none && autograd::needs_grad(x, weight, bias))
    epilogue.keep_z(shape, device);
  const auto flip = [](cpu::Trans t) {
    return t == cpu::Trans::no ? cpu::Trans::yes : cpu::Trans::no;
  };
  const Precision precision = product_precision();
  detail::linear_product<T>(device, precision, cpu::Trans::no, flip(w.layout.trans), rows.count,
                            out, in, rows.x.device_data(), rows.ld, w.x.device_data(), w.layout.ld,
                            y.mutable_device_data(), out, epilogue.call);

  return autograd::record(
      op, y,
      [x_shape = x.shape(),
       xs = autograd::save(autograd::needs_grad(weight) ? rows.x : Tensor<T>()),
       ws = autograd::save(w.x), z = autograd::save(epilogue.z), w_layout = w.layout, ld = rows.ld,
       n = rows.count, in, out, activation, precision](const Tensor<T>& dy, autograd::Needs need) {
        Tensor<T> dz = dy.contiguous();
        if (z.defined()) dz = detail::activation_backward(activation, z.get(), dz);
        Tensor<T> dx, dw, db;
        if (need[0]) {
          dx = Tensor<T>(x_shape, dy.device());
          detail::linear_product<T>(dy.device(), precision, cpu::Trans::no, w_layout.trans, n, in,
                                    out, dz.device_data(), out, ws.get().device_data(), w_layout.ld,
                                    dx.mutable_device_data(), in, {});
        }
        if (need[1]) {
          dw = Tensor<T>({out, in}, dy.device());
          detail::linear_product<T>(dy.device(), precision, cpu::Trans::yes, cpu::Trans::no, out,
                                    in, n, dz.device_data(), out, xs.get().device_data(), ld,
                                    dw.mutable_device_data(), in, {});
        }
        if (need[2]) db = detail::column_sums(dz.detach().view({n, out}));
        return std::tuple(dx, dw, db, dy);
      },
      x, weight, bias, residual);
}
TANDEM_ONE_TYPE_ONLY(linear)

TANDEM_NAMESPACE_END
