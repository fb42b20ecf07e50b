#pragma once

#include <utility>
#include <vector>

#include "tandem/nn/init.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/linear_packed.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// linear with the weight as T or, where it is kept as bfloat16, with `low`; with the packed copy
/// where there is one and nothing is recorded.
template <FloatingElement T>
Tensor<T> linear_either(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<bfloat16>& low,
                        const Packed<T>& packed, const Tensor<T>& bias,
                        Activation activation = Activation::none, const Tensor<T>& residual = {}) {
  const bool plain =
      (packed.full || packed.low) && !autograd::needs_grad(x, weight, bias, residual);
  if constexpr (std::is_same_v<T, float>) {
    if (low.defined()) {
      return plain && packed.low && packed.low->holds(low)
                 ? linear_packed(x, *packed.low, bias, activation, residual)
                 : linear_bf16(x, low, bias, activation, residual);
    }
  }
  if (plain && packed.full && product_precision() == Precision::full &&
      packed.full->holds(weight)) {
    return linear_packed(x, *packed.full, bias, activation, residual);
  }
  return linear(x, weight, bias, activation, residual);
}

/// Freezes a module and keeps every matrix that it can compute with as bfloat16 that way: half the
/// memory, faster products, results within bfloat16's rounding.
///   nn::keep_bfloat16(text_encoder);   // gradients still flow through it to its inputs
inline void keep_bfloat16(Module<float>& module) {
  module.freeze();
  std::vector<std::pair<Tensor<float>, Tensor<bfloat16>>> rounded;  // tied matrices stay tied
  for (const Slot<float>& slot : module.slots()) {
    if (slot.low == nullptr || !slot.tensor->defined()) continue;
    std::size_t i = 0;
    while (i < rounded.size() && !rounded[i].first.is_same(*slot.tensor)) ++i;
    if (i == rounded.size())
      rounded.emplace_back(*slot.tensor, tandem::detail::rounded_rows(*slot.tensor));
    *slot.low = rounded[i].second;
    *slot.tensor = {};
  }
}

/// Freezes a module and packs every matrix that it multiplies by, for the passes to come that
/// record nothing: with few rows a tenth faster, results as before (ops/linear_packed.hpp). The
/// originals stay for all other uses; those in a mapped file give their memory back until they are
/// read again, others are there twice. A matrix that is changed or replaced afterwards is
/// multiplied by as it is, unpacked.
///   nn::pack_weights(*clip::load_image_encoder<float>(path));
/// Errors: a module on another device than the CPU.
template <FloatingElement T>
void pack_weights(Module<T>& module) {
  module.freeze();
  for (const Slot<T>& slot : module.slots()) {
    if (slot.packed == nullptr) continue;
    const auto pack = [&]<class W>(const Tensor<W>& weight) {
      const Tensor<W> dense = weight.detach().contiguous();
      auto packed = make_ref<PackedWeight<W>>(dense.reshape({dense.size(0), -1}));
      dense.storage()->give_back_pages();
      return packed;
    };
    slot.packed->full = {};
    slot.packed->low = {};
    if (slot.tensor->defined()) slot.packed->full = pack(*slot.tensor);
    if (slot.low != nullptr && slot.low->defined()) slot.packed->low = pack(*slot.low);
  }
}

/// Linear — y = x·Wᵀ + b.   x (…, in) → (…, out).
///   weight (out, in), bias (out,); both start as U(−1/√in, 1/√in), as in PyTorch.
template <FloatingElement T>
class Linear final : public Layer<T> {
 public:
  Linear(std::int64_t in, std::int64_t out, Generator& random, bool with_bias = true)
      : weight(kaiming_uniform<T>({out, in}, in, random)) {
    this->add("weight", weight, weight_bf16, weight_packed);
    if (with_bias) {
      bias = kaiming_uniform<T>({out}, in, random);
      this->add("bias", bias);
    }
  }
  Tensor<T> forward(const Tensor<T>& x) const override { return forward(x, Activation::none); }
  /// act(x·Wᵀ + b) + residual in one product; the residual may be undefined.
  Tensor<T> forward(const Tensor<T>& x, Activation activation,
                    const Tensor<T>& residual = {}) const {
    const ModuleScope scope = this->scope();
    return linear_either(x, weight, weight_bf16, *weight_packed, bias, activation, residual);
  }

  Tensor<T> weight, bias;
  Tensor<bfloat16> weight_bf16;  ///< in place of `weight` where it is kept as bfloat16
  Ref<Packed<T>> weight_packed = make_ref<Packed<T>>();  ///< by pack_weights
};

}  // namespace nn
TANDEM_NAMESPACE_END
