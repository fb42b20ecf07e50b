#pragma once
/// The convolution over images, as a layer.

#include "tandem/nn/conv3d.hpp"
#include "tandem/ops/conv2d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Conv2d — a convolution with a learned weight.   x (N, in, H, W) → (N, out, H′, W′).
///   weight (out, in/groups, kh, kw), bias (out,); both start as U(−1/√fan, 1/√fan) with fan =
///   in/groups·kh·kw, as in PyTorch.  Errors: groups that do not divide
///   in or out; a kernel, stride or dilation below 1; negative padding.
///
///   const nn::Conv2d<float> conv(3, 8, 7, random, {.stride = 2, .padding = 3});
///   conv.forward(ones<float>({2, 3, 28, 28}));   // → (2, 8, 14, 14)
template <FloatingElement T>
class Conv2d final : public Layer<T> {
 public:
  Conv2d(std::int64_t in, std::int64_t out, const Pair& kernel, Generator& random,
         const Conv2dOptions& options = {}, bool with_bias = true)
      : options_(options) {
    const std::int64_t seen = detail::group_channels("conv2d", in, out, options.groups);
    tandem::detail::require_window(
        "conv2d", tandem::detail::as_volume(kernel), tandem::detail::as_volume(options.stride),
        tandem::detail::as_volume(options.padding), tandem::detail::as_volume(options.dilation));
    const std::int64_t fan_in = seen * kernel.height * kernel.width;
    weight = kaiming_uniform<T>({out, seen, kernel.height, kernel.width}, fan_in, random);
    this->add("weight", weight);
    if (with_bias) {
      bias = kaiming_uniform<T>({out}, fan_in, random);
      this->add("bias", bias);
    }
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return conv2d(x, weight, bias, options_);
  }
  /// The options that it was made with.
  const Conv2dOptions& options() const { return options_; }

  Tensor<T> weight, bias;

 private:
  Conv2dOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
