#pragma once
/// The convolution over volumes, as a layer.

#include "tandem/nn/init.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/conv3d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {
namespace detail {
/// in/groups, the channels that an output sees.
inline std::int64_t group_channels(const char* op, std::int64_t in, std::int64_t out,
                                   std::int64_t groups) {
  TANDEM_CHECK(in >= 0 && out >= 0, op, "channels must not be negative, they are ", in, " and ",
               out);
  TANDEM_CHECK(groups >= 1 && in % groups == 0 && out % groups == 0, op, in, " and ", out,
               " channels do not divide into ", groups, " groups");
  return in / groups;
}
}  // namespace detail

/// Conv3d — a convolution with a learned weight.   x (N, in, D, H, W) → (N, out, D′, H′, W′).
///   weight (out, in/groups, kd, kh, kw), bias (out,); both start as U(−1/√fan, 1/√fan) with fan =
///   in/groups·kd·kh·kw, as in PyTorch.  Errors: groups that do not divide
///   in or out; a kernel, stride or dilation below 1; negative padding.
///
///   const nn::Conv3d<float> conv(2, 4, Triple::all(3), random, {.padding = Padding3d::same()});
///   conv.forward(ones<float>({1, 2, 4, 8, 8}));   // → (1, 4, 4, 8, 8)
template <FloatingElement T>
class Conv3d final : public Layer<T> {
 public:
  Conv3d(std::int64_t in, std::int64_t out, const Triple& kernel, Generator& random,
         const Conv3dOptions& options = {}, bool with_bias = true)
      : options_(options) {
    const std::int64_t seen = detail::group_channels("conv3d", in, out, options.groups);
    tandem::detail::require_window("conv3d", kernel, options.stride, options.padding,
                                   options.dilation);
    const std::int64_t fan_in = seen * kernel.depth * kernel.height * kernel.width;
    weight =
        kaiming_uniform<T>({out, seen, kernel.depth, kernel.height, kernel.width}, fan_in, random);
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
  /// The options that it was made with.
  const Conv3dOptions& options() const { return options_; }

  Tensor<T> weight, bias;

 private:
  Conv3dOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
