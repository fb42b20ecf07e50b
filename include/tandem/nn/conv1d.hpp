#pragma once
/// The convolution over sequences, as a layer.

#include "tandem/nn/conv3d.hpp"
#include "tandem/ops/conv1d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Conv1d — a convolution with a learned weight.   x (N, in, L) → (N, out, L′).
///   weight (out, in/groups, k), bias (out,); both start as U(−1/√fan, 1/√fan) with fan =
///   in/groups·k, as in PyTorch.  Errors: groups that do not divide
///   in or out; a kernel, stride or dilation below 1; negative padding.
///
///   const nn::Conv1d<float> conv(4, 6, 3, random, {.padding = 1});
///   conv.forward(ones<float>({2, 4, 50}));   // → (2, 6, 50)
template <FloatingElement T>
class Conv1d final : public Layer<T> {
 public:
  Conv1d(std::int64_t in, std::int64_t out, std::int64_t kernel, Generator& random,
         const Conv1dOptions& options = {}, bool with_bias = true)
      : options_(options) {
    const std::int64_t seen = detail::group_channels("conv1d", in, out, options.groups);
    tandem::detail::require_window("conv1d", {1, 1, kernel}, {1, 1, options.stride},
                                   tandem::detail::as_volume(options.padding),
                                   {1, 1, options.dilation});
    weight = kaiming_uniform<T>({out, seen, kernel}, seen * kernel, random);
    this->add("weight", weight);
    if (with_bias) {
      bias = kaiming_uniform<T>({out}, seen * kernel, random);
      this->add("bias", bias);
    }
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return conv1d(x, weight, bias, options_);
  }
  /// The options that it was made with.
  const Conv1dOptions& options() const { return options_; }

  Tensor<T> weight, bias;

 private:
  Conv1dOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
