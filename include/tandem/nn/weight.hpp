#pragma once
/// Weight: a matrix that a module multiplies by, as T, as bfloat16, and packed or not; and what
/// brings all of a module into another of these forms.

#include <utility>
#include <vector>

#include "tandem/nn/module.hpp"
#include "tandem/ops/linear_packed.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Weight (out, …), read as (out, in) — multiply(x) is x·Wᵀ by whichever of the three linear ops
/// its form asks for: linear, linear_bf16 where it is kept as bfloat16, and linear_packed where
/// there is a packed copy of what it is now and nothing is recorded.
template <FloatingElement T>
class Weight final : public Matrix<T> {
 public:
  using Matrix<T>::Matrix;
  using Matrix<T>::operator=;

  /// act(x·Wᵀ + b) + residual in one product; bias and residual may be undefined.
  Tensor<T> multiply(const Tensor<T>& x, const Tensor<T>& bias,
                     Activation activation = Activation::none,
                     const Tensor<T>& residual = {}) const {
    const bool packed = is_packed() && !autograd::needs_grad(x, this->tensor(), bias, residual);
    if constexpr (std::is_same_v<T, float>) {
      if (this->is_bfloat16()) {
        return packed ? linear_packed(x, *packed_bf16_, bias, activation, residual)
                      : linear_bf16(x, rows(this->bf16()), bias, activation, residual);
      }
    }
    return packed && product_precision() == Precision::full
               ? linear_packed(x, *packed_, bias, activation, residual)
               : linear(x, rows(this->tensor()), bias, activation, residual);
  }

  /// x·W[begin:end]ᵀ + b, by some rows of the weight: as it is kept, but not packed, since a packed
  /// copy is of the whole.
  Tensor<T> multiply_rows(const Tensor<T>& x, std::int64_t begin, std::int64_t end,
                          const Tensor<T>& bias) const {
    if constexpr (std::is_same_v<T, float>) {
      if (this->is_bfloat16()) return linear_bf16(x, rows(this->bf16()).slice(0, begin, end), bias);
    }
    return linear(x, rows(this->tensor()).slice(0, begin, end), bias);
  }

  /// Makes the copy in the order in which products read it (ops/linear_packed.hpp), in the form
  /// that the weight has now. The original stays; in a mapped file it gives its memory back until
  /// it is read again. A weight that is changed or replaced afterwards is multiplied by as it is,
  /// unpacked.
  /// Errors: a weight on another device than the CPU.
  void pack() override {
    packed_ = {};
    packed_bf16_ = {};
    if (this->tensor().defined()) packed_ = packed(this->tensor());
    if (this->is_bfloat16()) packed_bf16_ = packed(this->bf16());
  }
  /// Whether the packed copy is of the weight as it is now.
  bool is_packed() const override {
    return this->is_bfloat16() ? packed_bf16_ && packed_bf16_->holds(this->bf16())
                               : packed_ && packed_->holds(this->tensor());
  }

 private:
  /// A weight of more dimensions, as that of a convolution, as (out, in).
  template <class W>
  static Tensor<W> rows(const Tensor<W>& w) {
    return w.defined() && w.rank() > 2 ? w.reshape({w.size(0), -1}) : w;
  }
  template <class W>
  static Ref<PackedWeight<W>> packed(const Tensor<W>& w) {
    const Tensor<W> dense = rows(w.detach().contiguous());
    auto copy = make_ref<PackedWeight<W>>(dense);
    dense.storage()->give_back_pages();
    return copy;
  }

  Ref<PackedWeight<T>> packed_;
  Ref<PackedWeight<bfloat16>> packed_bf16_;
};

/// Freezes a module and keeps every matrix that it can compute with as bfloat16 that way: half the
/// memory, faster products, results within bfloat16's rounding.
///   nn::Linear<float> frozen(2, 3, random);
///   nn::keep_bfloat16(frozen);
///   frozen.weight.is_bfloat16();   // → true
///   frozen.parameters().size();    // → 1
inline void keep_bfloat16(Module<float>& module) {
  module.freeze();
  std::vector<std::pair<Tensor<float>, Tensor<bfloat16>>> rounded;  // tied matrices stay tied
  for (const Slot<float>& slot : module.slots()) {
    if (slot.matrix == nullptr || !slot.tensor->defined()) continue;
    std::size_t i = 0;
    while (i < rounded.size() && !rounded[i].first.is_same(*slot.tensor)) ++i;
    if (i == rounded.size())
      rounded.emplace_back(*slot.tensor, tandem::detail::rounded_rows(*slot.tensor));
    slot.matrix->keep(rounded[i].second);
  }
}

/// Freezes a module and packs every weight that it multiplies by, for the passes to come that
/// record nothing: with few rows a tenth faster, results as before (Weight::pack). What is not in a
/// mapped file is there twice.
///   nn::Linear<float> frozen(2, 3, random);
///   nn::pack_weights(frozen);
///   frozen.weight.is_packed();   // → true
/// Errors: a module on another device than the CPU.
template <FloatingElement T>
void pack_weights(Module<T>& module) {
  module.freeze();
  for (const Slot<T>& slot : module.slots()) {
    if (slot.matrix != nullptr) slot.matrix->pack();
  }
}

}  // namespace nn
TANDEM_NAMESPACE_END
