#pragma once
/// Layers one after the other, and layers made of functions.

#include "tandem/nn/module.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// A layer made of a function: `Sequential` holds activations this way.
///
///   const auto layer = nn::make_function<float>([](const auto& x) { return relu(x); });
///   layer->forward(tensor<float>({-1, 2}));   // → [0., 2.]
template <FloatingElement T, class F>
class Function final : public Layer<T> {
 public:
  explicit Function(F function) : function_(std::move(function)) {}
  Tensor<T> forward(const Tensor<T>& x) const override { return function_(x); }

 private:
  F function_;
};
template <FloatingElement T, class F>
Ref<Layer<T>> make_function(F function) {
  return make_ref<Function<T, F>>(std::move(function));
}

/// Sequential — layers one after the other, named "0", "1", … as in PyTorch.
///   nn::Sequential<float> net;
///   net.push(make_ref<nn::Linear<float>>(784, 128, random));
///   net.push(nn::make_function<float>([](const auto& x) { return relu(x); }));
///   net.forward(ones<float>({5, 784}));   // → (5, 128)
///   net.named_parameters().at(0).name;    // → "0.weight"
template <FloatingElement T>
class Sequential final : public Layer<T> {
 public:
  Sequential() = default;
  /// Appends a layer. Errors: null.
  Sequential& push(Ref<Layer<T>> layer) {
    TANDEM_CHECK(static_cast<bool>(layer), "Sequential", "layer ", layers_.size(), " is null");
    this->add(std::to_string(layers_.size()), *layer);
    layers_.push_back(std::move(layer));
    return *this;
  }
  Tensor<T> forward(const Tensor<T>& x) const override {
    const ModuleScope scope = this->scope();
    Tensor<T> y = x;
    for (const Ref<Layer<T>>& layer : layers_) y = layer->forward(y);
    return y;
  }
  /// How many layers there are.
  std::size_t size() const { return layers_.size(); }
  /// Layer number i.
  Layer<T>& operator[](std::size_t i) { return *layers_.at(i); }

 private:
  std::vector<Ref<Layer<T>>> layers_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
