#pragma once

#include "tandem/nn/init.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/linear_bf16.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// linear with the weight as T or, where it is kept as bfloat16, with `low`.
template <FloatingElement T>
Tensor<T> linear_either(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<bfloat16>& low,
                        const Tensor<T>& bias, Activation activation = Activation::none,
                        const Tensor<T>& residual = {}) {
  if constexpr (std::is_same_v<T, float>) {
    if (low.defined()) return linear_bf16(x, low, bias, activation, residual);
  }
  return linear(x, weight, bias, activation, residual);
}

/// Freezes a module and keeps every matrix that it can compute with as bfloat16 that way: half the
/// memory, faster products, results within bfloat16's rounding.
///   nn::keep_bfloat16(text_encoder);   // gradients still flow through it to its inputs
inline void keep_bfloat16(Module<float>& module) {
  module.freeze();
  for (const Slot<float>& slot : module.slots()) {
    if (slot.low == nullptr || !slot.tensor->defined()) continue;
    *slot.low = tandem::detail::rounded_rows(*slot.tensor);
    *slot.tensor = {};
  }
}

/// Linear — y = x·Wᵀ + b.   x (…, in) → (…, out).
///   weight (out, in), bias (out,); both start as U(−1/√in, 1/√in), as in PyTorch.
template <FloatingElement T>
class Linear final : public Layer<T> {
 public:
  Linear(std::int64_t in, std::int64_t out, Generator& random, bool with_bias = true)
      : weight(kaiming_uniform<T>({out, in}, in, random)) {
    this->add("weight", weight, weight_bf16);
    if (with_bias) {
      bias = kaiming_uniform<T>({out}, in, random);
      this->add("bias", bias);
    }
  }
  Tensor<T> forward(const Tensor<T>& x) const override { return forward(x, Activation::none); }
  /// act(x·Wᵀ + b) + residual in one product; the residual may be undefined.
  Tensor<T> forward(const Tensor<T>& x, Activation activation, const Tensor<T>& residual = {}) const {
    const ModuleScope scope = this->scope();
    return linear_either(x, weight, weight_bf16, bias, activation, residual);
  }

  Tensor<T> weight, bias;
  Tensor<bfloat16> weight_bf16;  ///< in place of `weight` where it is kept as bfloat16
};

}  // namespace nn
TANDEM_NAMESPACE_END
