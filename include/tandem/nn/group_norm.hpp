#pragma once
/// Group norm, as a layer.

#include "tandem/nn/module.hpp"
#include "tandem/ops/group_norm.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// GroupNorm over groups of the channels of x (N, C, …), with scale and shift.   x → same shape.
///                                                                            [Wu & He 2018, eq. 7]
///   const nn::GroupNorm<float> norm(2, 4);           // 2 groups of 2 channels
///   norm.forward(tensor<float>({{1, 3, 10, 30}}));   // → [[-1., 1., -1., 1.]]
template <FloatingElement T>
class GroupNorm final : public Layer<T> {
 public:
  GroupNorm(std::int64_t groups, std::int64_t channels, double epsilon = 1e-5)
      : weight(ones<T>({channels})),
        bias(zeros<T>({channels})),
        groups_(groups),
        epsilon_(epsilon) {
    TANDEM_CHECK(groups >= 1 && channels % groups == 0, "group_norm", channels,
                 " channels do not divide into ", groups, " groups");
    TANDEM_CHECK(static_cast<T>(epsilon) > 0 && is_finite(epsilon), "group_norm",
                 "epsilon must be positive, it is ", epsilon);
    this->add("weight", weight);
    this->add("bias", bias);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return group_norm(x, groups_, weight, bias, epsilon_);
  }

  Tensor<T> weight, bias;  ///< γ, β (channels,); they start as 1 and 0

 private:
  std::int64_t groups_;
  double epsilon_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
