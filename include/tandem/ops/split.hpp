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
#include <exception>
#include <vector>

#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {
/// An empty list with room for so many tensors.  Errors: there is no memory for them.
template <Element T>
std::vector<Tensor<T>> list_of_parts(const char* op, std::int64_t parts) {
  std::vector<Tensor<T>> list;
  TANDEM_CHECK(parts < (std::int64_t{1} << 44), op, "cannot allocate a list of ", parts,
               " tensors");
  try {
    list.reserve(static_cast<std::size_t>(parts));
  } catch (const std::exception&) {  // std::bad_alloc, std::length_error
    fail(op, "cannot allocate a list of ", parts, " tensors");
  }
  return list;
}
}  // namespace detail

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
  const int d = normalize_dim("split", dim, x.rank());
  auto parts = detail::list_of_parts<T>("split", n > 0 ? (n - 1) / size + 1 : 1);
  for (std::int64_t begin = 0; begin < n; begin = n - begin < size ? n : begin + size) {
    parts.push_back(x.slice(d, begin, n - begin < size ? n : begin + size));
  }
  if (n == 0) parts.push_back(x.slice(d, 0, 0));
  return parts;
}

template <Element T>
std::vector<Tensor<T>> chunk(const Tensor<T>& x, std::int64_t parts, Dim dim = 0) {
  detail::require_defined("chunk", "x", x);
  TANDEM_CHECK(parts >= 1, "chunk", "there must be at least 1 part, not ", parts);
  const std::int64_t n = x.shape()[normalize_dim("chunk", dim, x.rank())];
  if (n == 0) {
    auto list = detail::list_of_parts<T>("chunk", parts);
    for (std::int64_t i = 0; i < parts; ++i) list.push_back(x);
    return list;
  }
  return split(x, (n - 1) / parts + 1, dim);
}

TANDEM_NAMESPACE_END
