#pragma once
/// RMS norm, as a layer.

#include <optional>

#include "tandem/nn/module.hpp"
#include "tandem/ops/rms_norm.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// RMSNorm over the last axis, with scale.   x (…, size) → same.   [Zhang & Sennrich 2019, eq. 4]
///   Without ε it is that of T, as in PyTorch.
///
///   const nn::RMSNorm<float> norm(2);
///   norm.forward(tensor<float>({{1, 7}, {0, 100}}));   // → [[0.2, 1.4], [0., 1.4142]]
template <FloatingElement T>
class RMSNorm final : public Layer<T> {
 public:
  explicit RMSNorm(std::int64_t size, std::optional<double> epsilon = {})
      : weight(ones<T>({size})), epsilon_(epsilon) {
    TANDEM_CHECK(static_cast<T>(epsilon.value_or(1)) > 0 && is_finite(epsilon.value_or(1)),
                 "rms_norm", "epsilon must be positive, it is ", epsilon.value_or(1));
    this->add("weight", weight);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return rms_norm(x, weight, epsilon_);
  }

  Tensor<T> weight;  ///< γ (size,); it starts as 1

 private:
  std::optional<double> epsilon_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
