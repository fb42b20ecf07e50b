#pragma once
/// The embedding layer: a table of rows.

#include "tandem/nn/init.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/embedding.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Embedding — row `ids` of a table.   ids (…) in [0, count) → (…, size); the table starts N(0, 1).
///
///   const nn::Embedding<float> words(1000, 16, random);
///   words.forward(tensor<std::int64_t>({{3, 1}, {4, 1}}));   // → (2, 2, 16)
template <FloatingElement T>
class Embedding final : public Module<T> {
 public:
  Embedding(std::int64_t count, std::int64_t size, Generator& random, double deviation = 1)
      : weight(normal<T>({count, size}, random, deviation)) {
    this->add("weight", weight);
  }
  /// The rows of these ids; from a table kept as bfloat16, converted.
  Tensor<T> forward(const Tensor<std::int64_t>& ids) const {
    const ModuleScope scope = this->scope();
    if (weight.is_bfloat16()) return embedding(ids, weight.bf16()).template to<T>();
    return embedding(ids, weight.tensor());
  }

  Matrix<T> weight;  ///< (count, size)
};

}  // namespace nn
TANDEM_NAMESPACE_END
