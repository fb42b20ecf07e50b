#pragma once
/// A dense tensor seen from one of its dimensions: (outer, n, inner).

#include <cstdint>

#include "tandem/tensor/shape.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// Element (o, i, k) of a dense tensor lies at (o·n + i)·inner + k; the dimension in question is i.
struct DimSplit {
  std::int64_t outer = 1, n = 1, inner = 1;

  std::int64_t numel() const { return outer * n * inner; }
};

inline DimSplit split_at(const Shape& shape, int dim) {
  DimSplit out;
  for (int d = 0; d < shape.rank(); ++d) {
    (d < dim ? out.outer : d == dim ? out.n : out.inner) *= shape[d];
  }
  return out;
}

/// How many items of `each` elements are worth a thread of their own.
inline std::int64_t grain_for(std::int64_t each, std::int64_t elements = 16384) {
  return each > 0 && each < elements ? elements / each : 1;
}

}  // namespace detail
TANDEM_NAMESPACE_END
