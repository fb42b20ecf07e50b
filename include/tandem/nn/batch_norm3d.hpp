#pragma once
/// Batch norm over volumes, as a layer.

#include "tandem/nn/module.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/batch_norm.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// BatchNorm3d over the channels of x (N, C, D, H, W), with scale and shift.   x → same shape.
///                                                                      [Ioffe & Szegedy 2015]
///   weight, bias (C,); buffers running_mean, running_var (C,) and num_batches_tracked (), a count.
///   In training mode the batch's statistics are used and the running ones follow them; in
///   evaluation mode the running ones are used. The options' `training` follows the mode.
template <FloatingElement T>
class BatchNorm3d final : public Layer<T> {
 public:
  explicit BatchNorm3d(std::int64_t channels, const BatchNormOptions& options = {})
      : weight(ones<T>({channels})),
        bias(zeros<T>({channels})),
        running_mean(zeros<T>({channels})),
        running_var(ones<T>({channels})),
        num_batches_tracked(zeros<T>({})),
        options_(options) {
    this->add("weight", weight);
    this->add("bias", bias);
    this->add_buffer("running_mean", running_mean);
    this->add_buffer("running_var", running_var);
    this->add_buffer("num_batches_tracked", num_batches_tracked);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    TANDEM_CHECK(x.rank() == 5, "batch_norm",
                 "expected x of shape (N, C, depth, height, width), got ", x.shape());
    BatchNormOptions options = options_;
    options.training = this->training();
    const Tensor<T> y = batch_norm(x, weight, bias, running_mean, running_var, options);
    if (options.training) num_batches_tracked += T(1);
    return y;
  }
  /// ε of the options.
  double epsilon() const { return options_.epsilon; }

  Tensor<T> weight, bias, running_mean, running_var, num_batches_tracked;

 private:
  BatchNormOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
