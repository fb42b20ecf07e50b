#pragma once
/// stack — y = the tensors, all of one shape, along a new dimension.
///   dxᵢ = dy at index i of that dimension.   Composed of unsqueeze and cat.
///   n tensors of (…) → (…, n, …).
///
///   const auto a = tensor<float>({1, 2}), b = tensor<float>({3, 4});
///   stack<float>({a, b}, 1);   // → [[1., 3.], [2., 4.]]
///
/// Errors: an empty list; shapes or devices that differ.

#include <cstdint>
#include <vector>

#include "tandem/ops/cat.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> stack(const std::vector<Tensor<T>>& tensors, Dim dim = 0) {
  TANDEM_CHECK(!tensors.empty(), "stack", "there is nothing to stack: the list is empty");
  detail::require_each_defined("stack", "tensors", tensors);
  std::vector<Tensor<T>> rows;
  for (const Tensor<T>& x : tensors) detail::require_same_device("stack", tensors[0], x);
  for (const Tensor<T>& x : tensors) {
    TANDEM_CHECK(x.shape() == tensors[0].shape(), "stack", "shapes must be equal: the first is ",
                 tensors[0].shape(), ", number ", rows.size(), " is ", x.shape());
    rows.push_back(x.unsqueeze(dim));
  }
  return cat(rows, normalize_dim("stack", dim, tensors[0].rank() + 1));
}

TANDEM_NAMESPACE_END
