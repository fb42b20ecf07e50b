#pragma once
/// Layer norm, as a layer.

#include "tandem/nn/module.hpp"
#include "tandem/ops/layer_norm.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// LayerNorm over the last axis, with scale and shift.   x (…, size) → same.
///                                                                          [Ba et al. 2016, eq. 4]
///
///   const nn::LayerNorm<float> norm(2);
///   norm.forward(tensor<float>({{1, 3}, {0, 100}}));   // → [[-1., 1.], [-1., 1.]]
template <FloatingElement T>
class LayerNorm final : public Layer<T> {
 public:
  explicit LayerNorm(std::int64_t size, double epsilon = 1e-5)
      : weight(ones<T>({size})), bias(zeros<T>({size})), epsilon_(epsilon) {
    TANDEM_CHECK(static_cast<T>(epsilon) > 0 && is_finite(epsilon), "layer_norm",
                 "epsilon must be positive, it is ", epsilon);
    this->add("weight", weight);
    this->add("bias", bias);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return layer_norm(x, weight, bias, epsilon_);
  }

  Tensor<T> weight, bias;  ///< γ, β (size,); they start as 1 and 0

 private:
  double epsilon_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
