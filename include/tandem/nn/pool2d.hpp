#pragma once
/// Pooling over images, as layers.

#include "tandem/nn/module.hpp"
#include "tandem/ops/avg_pool2d.hpp"
#include "tandem/ops/max_pool2d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// MaxPool2d — max_pool2d as a layer.
///   const nn::MaxPool2d<float> pool({.kernel = 3, .stride = 2, .padding = 1});
///   pool.forward(ones<float>({2, 8, 28, 28}));   // → (2, 8, 14, 14)
template <FloatingElement T>
class MaxPool2d final : public Layer<T> {
 public:
  explicit MaxPool2d(const MaxPool2dOptions& options) : options_(options) {
    tandem::detail::require_pool("max_pool2d", tandem::detail::as_volume(options.kernel),
                                 options.stride.height == 0 && options.stride.width == 0
                                     ? Triple::all(0)
                                     : tandem::detail::as_volume(options.stride),
                                 tandem::detail::as_volume(options.padding));
    TANDEM_CHECK(options.padding_value == options.padding_value, "max_pool2d",
                 "the padding value is NaN");
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return max_pool2d(x, options_);
  }

 private:
  MaxPool2dOptions options_;
};

/// AvgPool2d — avg_pool2d as a layer.
///   const nn::AvgPool2d<float> pool({.kernel = 7});
///   pool.forward(ones<float>({2, 8, 7, 7}));   // → (2, 8, 1, 1)
template <FloatingElement T>
class AvgPool2d final : public Layer<T> {
 public:
  explicit AvgPool2d(const AvgPool2dOptions& options) : options_(options) {
    tandem::detail::require_pool("avg_pool2d", tandem::detail::as_volume(options.kernel),
                                 options.stride.height == 0 && options.stride.width == 0
                                     ? Triple::all(0)
                                     : tandem::detail::as_volume(options.stride),
                                 tandem::detail::as_volume(options.padding));
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return avg_pool2d(x, options_);
  }

 private:
  AvgPool2dOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
