#pragma once
/// Pooling over sequences, as layers.

#include "tandem/nn/module.hpp"
#include "tandem/ops/avg_pool1d.hpp"
#include "tandem/ops/max_pool1d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// MaxPool1d — max_pool1d as a layer.
///   const nn::MaxPool1d<float> pool({.kernel = 2});
///   pool.forward(tensor<float>({1, 3, 2, 0}).reshape({1, 1, 4}));   // → [[[3., 2.]]]
template <FloatingElement T>
class MaxPool1d final : public Layer<T> {
 public:
  explicit MaxPool1d(const MaxPool1dOptions& options) : options_(options) {
    tandem::detail::require_pool(
        "max_pool1d", {1, 1, options.kernel},
        options.stride == 0 ? Triple::all(0) : Triple{1, 1, options.stride},
        tandem::detail::as_volume(options.padding));
    TANDEM_CHECK(options.padding_value == options.padding_value, "max_pool1d",
                 "the padding value is NaN");
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return max_pool1d(x, options_);
  }

 private:
  MaxPool1dOptions options_;
};

/// AvgPool1d — avg_pool1d as a layer.
///   const nn::AvgPool1d<float> pool({.kernel = 2});
///   pool.forward(tensor<float>({1, 3, 2, 0}).reshape({1, 1, 4}));   // → [[[2., 1.]]]
template <FloatingElement T>
class AvgPool1d final : public Layer<T> {
 public:
  explicit AvgPool1d(const AvgPool1dOptions& options) : options_(options) {
    tandem::detail::require_pool(
        "avg_pool1d", {1, 1, options.kernel},
        options.stride == 0 ? Triple::all(0) : Triple{1, 1, options.stride},
        tandem::detail::as_volume(options.padding));
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    return avg_pool1d(x, options_);
  }

 private:
  AvgPool1dOptions options_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
