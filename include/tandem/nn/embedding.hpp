#pragma once

#include "tandem/nn/module.hpp"
#include "tandem/ops/embedding.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Embedding — row `ids` of a table.   ids (…) in [0, count) → (…, size); the table starts N(0, 1).
template <FloatingElement T>
class Embedding final : public Module<T> {
 public:
  Embedding(std::int64_t count, std::int64_t size, Generator& random, double deviation = 1)
      : weight(randn<T>({count, size}, random, 0, deviation)) {
    this->add("weight", weight);
  }
  Tensor<T> forward(const Tensor<std::int64_t>& ids) const {
    const ModuleScope scope = this->scope();
    return embedding(ids, weight);
  }

  Tensor<T> weight;
};

}  // namespace nn
TANDEM_NAMESPACE_END
