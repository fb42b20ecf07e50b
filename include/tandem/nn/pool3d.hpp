#pragma once
/// Pooling over volumes, as layers.

#include "tandem/nn/module.hpp"
#include "tandem/ops/avg_pool3d.hpp"
#include "tandem/ops/max_pool3d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// MaxPool3d — max_pool3d as a layer.
///   const nn::MaxPool3d<float> pool({.kernel = {1, 2, 2}});
///   pool.forward(ones<float>({1, 2, 8, 6, 6}));   // → (1, 2, 8, 3, 3)
template <FloatingElement T>
class MaxPool3d final : public Layer<T> {
 public:
  explicit MaxPool3d(const MaxPool3dOptions& options) : options_(options) {
    tandem::detail::require_pool("max_pool3d", options.kernel, options.stride, options.padding);
    TANDEM_CHECK(options.padding_value == options.padding_value, "max_pool3d",
                 "the padding value is NaN");
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return max_pool3d(x, options_);
  }

 private:
  MaxPool3dOptions options_;
};

/// AvgPool3d — avg_pool3d as a layer.
///   const nn::AvgPool3d<float> pool({.kernel = {2, 7, 7}, .stride = Triple::all(1)});
///   pool.forward(ones<float>({1, 2, 3, 7, 7}));   // → (1, 2, 2, 1, 1)
template <FloatingElement T>
class AvgPool3d final : public Layer<T> {
 public:
  explicit AvgPool3d(const AvgPool3dOptions& options) : options_(options) {
    tandem::detail::require_pool("avg_pool3d", options.kernel, options.stride, options.padding);
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return avg_pool3d(x, options_);
  }

 private:
  AvgPool3dOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
