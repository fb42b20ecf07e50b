#pragma once
/// Dropout, as a layer.

#include "tandem/nn/module.hpp"
#include "tandem/ops/dropout.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Dropout — in training, zeroes elements with probability p and scales the rest by 1/(1 − p); the
/// identity otherwise. Draws from the RandomScope's generator and needs one when p > 0.
///
///   const nn::Dropout<float> dropout(0.5);
///   const nn::RandomScope scope(random);   // what it draws from
///   dropout.forward(ones<float>({8}));     // → [0., 2., 2., 2., 2., 0., 2., 0.]
template <FloatingElement T>
class Dropout final : public Layer<T> {
 public:
  explicit Dropout(double p = 0) : p_(p) {
    TANDEM_CHECK(p >= 0 && p < 1, "dropout", "the probability must lie in [0, 1), it is ", p);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    if (p_ == 0 || !this->training()) return x;
    const ModuleScope scope = this->scope();
    TANDEM_CHECK(current_generator() != nullptr, "dropout",
                 "training with dropout needs an nn::RandomScope, so that runs can be repeated");
    return dropout(x, p_, *current_generator());
  }
  double probability() const { return p_; }

 private:
  double p_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
