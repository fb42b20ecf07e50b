#pragma once
/// The convolution over volumes, as a layer.

#include "tandem/nn/init.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/conv3d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Conv3d — a convolution with a learned weight.   x (N, in, D, H, W) → (N, out, D′, H′, W′).
///   weight (out, in, kd, kh, kw), bias (out,); both start as U(−1/√fan, 1/√fan) with fan =
///   in·kd·kh·kw, as in PyTorch.
///
///   nn::Conv3d<float> conv(64, 192, Triple::all(3), random, {.padding = Padding3d::same()});
template <FloatingElement T>
class Conv3d final : public Layer<T> {
 public:
  Conv3d(std::int64_t in, std::int64_t out, const Triple& kernel, Generator& random,
         const Conv3dOptions& options = {}, bool with_bias = true)
      : options_(options) {
    const std::int64_t fan_in = in * kernel.depth * kernel.height * kernel.width;
    weight =
        kaiming_uniform<T>({out, in, kernel.depth, kernel.height, kernel.width}, fan_in, random);
    this->add("weight", weight);
    if (with_bias) {
      bias = kaiming_uniform<T>({out}, fan_in, random);
      this->add("bias", bias);
    }
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return conv3d(x, weight, bias, options_);
  }
  /// Stride, padding and whether max(0, ·) follows.
  const Conv3dOptions& options() const { return options_; }

  Tensor<T> weight, bias;

 private:
  Conv3dOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
