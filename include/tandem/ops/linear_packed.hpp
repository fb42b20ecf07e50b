#pragma once
/// linear_packed — y = act(x·Wᵀ + b) + r with W packed before, for a weight that no longer changes.
///   x (…, in), W (out, in), b (out), r (…, out) → (…, out).  b and r may be undefined.
///   Float and double as linear, a bfloat16 W as linear_bf16, which rounds x; the same bits where
///   rows and columns are more than 24, else up to the order of sums.  No derivative: a packed
///   weight is for passes that record nothing.
///
///   const PackedWeight<float> packed(tensor<float>({{1, 1}, {-1, 0}}));     // a second copy
///   linear_packed(tensor<float>({{1, 2}}), packed, {}, Activation::relu);   // → [[3., 0.]]
///
/// Every product has to bring its weight into the order in which the kernel reads it
/// (cpu/gemm_pack.hpp). With 200 rows that is a tenth of the time.
///
/// Errors: shapes that do not fit; an operand that needs a gradient.

#include <cstdint>

#include "tandem/ops/linear_bf16.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// A weight (out, in), packed for the instruction set in use, which remembers whose copy it is.
template <FloatingElement W>
class PackedWeight final : public RefCounted {
 public:
  using Sum = std::conditional_t<std::is_same_v<W, bfloat16>, float, W>;

  explicit PackedWeight(const Tensor<W>& weight)
      : weight_(checked(weight)),
        version_(weight.storage()->version()),
        matrix_(cpu::Trans::yes, weight.size(0), weight.size(1), weight_.data(),
                weight.size(1) > 0 ? weight.size(1) : 1) {}

  /// Whether `weight`, in whatever shape, is the tensor that was packed and has not changed since.
  bool holds(const Tensor<W>& weight) const {
    return weight.defined() && weight.is_contiguous() && weight.numel() == weight_.numel() &&
           weight.storage().get() == weight_.storage().get() && weight.data() == weight_.data() &&
           weight.storage()->version() == version_;
  }
  /// The weight that was packed.
  const Tensor<W>& weight() const { return weight_; }
  /// The copy in the order of the products.
  const cpu::PackedMatrix<W, Sum>& matrix() const { return matrix_; }

 private:
  static Tensor<W> checked(const Tensor<W>& weight) {
    detail::require_defined("packed_weight", "weight", weight);
    detail::require_cpu("packed_weight", weight);
    TANDEM_CHECK(weight.rank() == 2 && weight.is_contiguous(), "packed_weight",
                 "expected a dense weight (out, in), got shape ", weight.shape());
    return weight.detach();
  }

  Tensor<W> weight_;
  std::uint64_t version_;
  cpu::PackedMatrix<W, Sum> matrix_;
};

/// linear_packed, as above.
template <FloatingElement T, FloatingElement W>
requires(std::is_same_v<T, typename PackedWeight<W>::Sum>) Tensor<T> linear_packed(
    const Tensor<T>& x, const PackedWeight<W>& packed, const Tensor<T>& bias = {},
    Activation activation = Activation::none, const Tensor<T>& residual = {}) {
  const char* const op = "linear_packed";
  detail::require_defined(op, "x", x);
  detail::require_given_or_none(op, "bias", bias, "residual", residual);
  detail::require_cpu(op, x, bias, residual);
  const Shape shape = detail::linear_shape(op, x, packed.weight(), bias, residual);
  autograd::refuse_grad(op, x, bias, residual);
  const std::int64_t out = packed.matrix().n(), in = packed.matrix().k();
  const Tensor<T> y(shape);
  const detail::LinearEpilogue<T> epilogue(bias, activation, residual);
  const auto multiply = [&](std::int64_t rows, const W* from, std::int64_t ld) {
    cpu::gemm_packed<W, T>(cpu::Trans::no, rows, T(1), from, ld, packed.matrix(), T(0),
                           y.mutable_data(), out, epilogue.call);
  };
  if constexpr (std::is_same_v<W, bfloat16>) {
    const Tensor<bfloat16> rounded = detail::rounded_rows(x);
    std::int64_t rows = 1;
    for (int d = 0; d + 1 < x.rank(); ++d) rows *= shape[d];
    multiply(rows, rounded.data(), in > 0 ? in : 1);
  } else {
    const detail::Rows<T> rows(x.detach());
    multiply(rows.count, rows.x.data(), rows.ld);
  }
  if (autograd::anomaly_mode()) autograd::check_finite(op, "result", detail::module_path(), y);
  return y;
}

TANDEM_NAMESPACE_END
