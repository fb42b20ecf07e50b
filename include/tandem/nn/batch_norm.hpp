#pragma once
/// Batch norm over rows, sequences, images and volumes, as layers.

#include "tandem/nn/module.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/batch_norm.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// BatchNorm1d, BatchNorm2d, BatchNorm3d — batch norm over the channels of x, with scale and shift.
///   x (N, C) or (N, C, L), (N, C, H, W), (N, C, D, H, W) → same shape.   [Ioffe & Szegedy 2015]
///   weight, bias (C,); buffers running_mean, running_var (C,) and num_batches_tracked (), a count.
///   In training mode the batch's statistics are used and the running ones follow them; in
///   evaluation mode the running ones are used. The options' `training` follows the mode.
///
///   nn::BatchNorm2d<float> norm(2);
///   nn::BatchNorm1d<float> of_rows(2);
///   nn::BatchNorm3d<float>(8).forward(ones<float>({4, 8, 2, 3, 3}));   // → (4, 8, 2, 3, 3)
///   norm.eval();                                                      // by the running statistics
///   norm.forward(full<float>({1, 2, 1, 1}, 7));                       // → [[[[7.]], [[7.]]]]
///   of_rows.forward(tensor<float>({{1, 10}, {3, 20}}));               // → [[-1., -1.], [1., 1.]]
template <FloatingElement T, int axes>
class BatchNormBase final : public Layer<T> {
 public:
  explicit BatchNormBase(std::int64_t channels, const BatchNormOptions& options = {})
      : weight(ones<T>({channels})),
        bias(zeros<T>({channels})),
        running_mean(zeros<T>({channels})),
        running_var(ones<T>({channels})),
        num_batches_tracked(zeros<T>({})),
        options_(options) {
    TANDEM_CHECK(static_cast<T>(options.epsilon) > 0 && is_finite(options.epsilon), "batch_norm",
                 "epsilon must be positive, it is ", options.epsilon);
    TANDEM_CHECK(options.momentum >= 0 && options.momentum <= 1, "batch_norm",
                 "the momentum must be from 0 to 1, it is ", options.momentum);
    this->add("weight", weight);
    this->add("bias", bias);
    this->add_buffer("running_mean", running_mean);
    this->add_buffer("running_var", running_var);
    this->add_buffer("num_batches_tracked", num_batches_tracked);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    constexpr const char* forms[3] = {"(N, C) or (N, C, width)", "(N, C, height, width)",
                                      "(N, C, depth, height, width)"};
    const ModuleScope scope = this->scope();
    TANDEM_CHECK(x.rank() == axes + 2 || (axes == 1 && x.rank() == 2), "batch_norm",
                 "expected x of shape ", forms[axes - 1], ", got ", x.shape());
    BatchNormOptions options = options_;
    options.training = this->training();
    if (options.training) num_batches_tracked.require_target("batch_norm", "num_batches_tracked");
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

/// Over the rows or the sequences of a batch.
template <FloatingElement T>
using BatchNorm1d = BatchNormBase<T, 1>;
/// Over images.
template <FloatingElement T>
using BatchNorm2d = BatchNormBase<T, 2>;
/// Over volumes.
template <FloatingElement T>
using BatchNorm3d = BatchNormBase<T, 3>;

}  // namespace nn
TANDEM_NAMESPACE_END
