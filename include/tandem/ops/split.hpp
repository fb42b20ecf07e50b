#pragma once
/// split, chunk — y = views of x of a size (or of sizes) one after another along a dimension, so
/// many views.
///   dx = the gradients of the parts, one after another.
///   x (…, n, …) → std::vector of (…, nᵢ, …), Σ nᵢ = n.  Views: nothing is copied.
///
///   const auto x = arange<float>(8);
///   split(x, 3);              // → {[0., 1., 2.], [3., 4., 5.], [6., 7.]}
///   split(x, {2, 5, 1}, 0);   // → {[0., 1.], [2., 3., 4., 5., 6.], [7.]}
///   chunk(x, 2);              // → {[0., 1., 2., 3.], [4., 5., 6., 7.]}
///
/// chunk gives parts of ⌈n/parts⌉, as PyTorch does, so there may be fewer of them: 6 in 4 are 2, 2,
/// 2. Errors: a size below 1 (of several: below 0), sizes that are not n together, parts below 1.

#include <cstdint>
#include <vector>

#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
std::vector<Tensor<T>> split(const Tensor<T>& x, const std::vector<std::int64_t>& sizes,
                             Dim dim = 0) {
  detail::require_defined("split", "x", x);
  const int d = normalize_dim("split", dim, x.rank());
  std::int64_t end = 0;
  for (const std::int64_t size : sizes) {
    TANDEM_CHECK(size >= 0 && size <= x.shape()[d] - end, "split", "a size of ", size,
                 " does not fit behind the first ", end, " of dimension ", d, " of shape ",
                 x.shape());
    end += size;
  }
  TANDEM_CHECK(end == x.shape()[d], "split", "the sizes are ", end, " together, dimension ", d,
               " of shape ", x.shape(), " is ", x.shape()[d]);
  std::vector<Tensor<T>> parts;
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(x.slice(d, begin, begin + size));
    begin += size;
  }
  return parts;
}
template <Element T>
std::vector<Tensor<T>> split(const Tensor<T>& x, std::int64_t size, Dim dim = 0) {
  detail::require_defined("split", "x", x);
  TANDEM_CHECK(size >= 1, "split", "the size must be at least 1, it is ", size);
  const std::int64_t n = x.shape()[normalize_dim("split", dim, x.rank())];
  std::vector<std::int64_t> sizes;
  for (std::int64_t begin = 0; begin < n; begin += sizes.back()) {
    sizes.push_back(n - begin < size ? n - begin : size);
  }
  if (n == 0) sizes.push_back(0);
  return split(x, sizes, dim);
}

template <Element T>
std::vector<Tensor<T>> chunk(const Tensor<T>& x, std::int64_t parts, Dim dim = 0) {
  detail::require_defined("chunk", "x", x);
  TANDEM_CHECK(parts >= 1, "chunk", "there must be at least 1 part, not ", parts);
  const std::int64_t n = x.shape()[normalize_dim("chunk", dim, x.rank())];
  if (n == 0) return std::vector<Tensor<T>>(static_cast<std::size_t>(parts), x);
  return split(x, (n - 1) / parts + 1, dim);
}

TANDEM_NAMESPACE_END
