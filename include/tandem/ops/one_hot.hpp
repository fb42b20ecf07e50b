#pragma once
/// one_hot — y[…, c] = 1 where c = id, else 0.
///   ids int64 (…) → (…, classes) of T, int64 if it is left out.   Composed of eq and to.
///
///   one_hot<float>(tensor<std::int64_t>({2, 0}), 3);   // → [[0., 0., 1.], [1., 0., 0.]]
///
/// Ids have no gradient. Errors: fewer than 0 classes, an id outside [0, classes); on a GPU, where
/// looking at the ids would mean to wait, such an id has a row of zeros.

#include <cstdint>

#include "tandem/ops/compare.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T = std::int64_t>
Tensor<T> one_hot(const Tensor<std::int64_t>& ids, std::int64_t classes) {
  const char* const op = "one_hot";
  detail::require_defined(op, "ids", ids);
  TANDEM_CHECK(classes >= 0, op, "there cannot be ", classes, " classes");
  if (ids.device().is_cpu()) {
    const Tensor<std::int64_t> dense = ids.contiguous();
    for (std::int64_t i = 0; i < dense.numel(); ++i) {
      const std::int64_t id = dense.data()[i];
      TANDEM_CHECK(id >= 0 && id < classes, op, "id ", id, " at position ", i,
                   " is out of range: there are ", classes, " classes");
    }
  }
  const Tensor<std::int64_t> all_classes = arange<std::int64_t>(classes).to(ids.device());
  return eq(ids.unsqueeze(-1), all_classes).template to<T>();
}

TANDEM_NAMESPACE_END
