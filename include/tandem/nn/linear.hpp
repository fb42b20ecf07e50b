#pragma once
/// The linear layer.

#include "tandem/nn/init.hpp"
#include "tandem/nn/weight.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Linear — y = x·Wᵀ + b.   x (…, in) → (…, out).
///   weight (out, in), bias (out,); both start as U(−1/√in, 1/√in), as in PyTorch.
///
///   const nn::Linear<float> layer(784, 10, random);
///   layer.forward(ones<float>({64, 784}));                     // → (64, 10)
///   layer.forward(ones<float>({64, 784}), Activation::relu);   // → (64, 10)
template <FloatingElement T>
class Linear final : public Layer<T> {
 public:
  Linear(std::int64_t in, std::int64_t out, Generator& random, bool with_bias = true)
      : weight(kaiming_uniform<T>({out, in}, in, random)) {
    this->add("weight", weight);
    if (with_bias) {
      bias = kaiming_uniform<T>({out}, in, random);
      this->add("bias", bias);
    }
  }
  Tensor<T> forward(const Tensor<T>& x) const override { return forward(x, Activation::none); }
  /// act(x·Wᵀ + b) + residual in one product; the residual may be undefined.
  Tensor<T> forward(const Tensor<T>& x, Activation activation,
                    const Tensor<T>& residual = {}) const {
    const ModuleScope scope = this->scope();
    return weight.multiply(x, bias, activation, residual);
  }

  Weight<T> weight;
  Tensor<T> bias;
};

}  // namespace nn
TANDEM_NAMESPACE_END
