#pragma once

#include "tandem/nn/init.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/embedding.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Embedding — row `ids` of a table.   ids (…) in [0, count) → (…, size); the table starts N(0, 1).
template <FloatingElement T>
class Embedding final : public Module<T> {
 public:
  Embedding(std::int64_t count, std::int64_t size, Generator& random, double deviation = 1)
      : weight(normal<T>({count, size}, random, deviation)) {
    this->add("weight", weight, weight_bf16);
  }
  Tensor<T> forward(const Tensor<std::int64_t>& ids) const {
    const ModuleScope scope = this->scope();
    if (weight_bf16.defined()) return embedding(ids, weight_bf16).template to<T>();
    return embedding(ids, weight);
  }

  Tensor<T> weight;
  Tensor<bfloat16> weight_bf16;  ///< in place of `weight` where it is kept as bfloat16
};

}  // namespace nn
TANDEM_NAMESPACE_END
