#pragma once
/// cat — y = the tensors one after another along a dimension.
///   dxᵢ = the slice of dy that xᵢ became (a view, not a copy).
///   xᵢ (…, nᵢ, …), equal in every other dimension → (…, Σ nᵢ, …).  Saves nothing but sizes.
///
///   const auto rgb = tensor<float>({{1}, {2}}), flow = tensor<float>({{3}, {4}});
///   cat<float>({rgb, flow}, -1);   // → [[1., 3.], [2., 4.]]
///   cat<float>({rgb, flow});       // → (4, 1)
///
/// Errors: an empty list; numbers of dimensions, sizes other than the joined one, or devices that
/// differ.

#include <cstdint>
#include <vector>

#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> cat(const std::vector<Tensor<T>>& tensors, Dim dim = 0) {
  const char* const op = "cat";
  TANDEM_CHECK(!tensors.empty(), op, "there is nothing to join: the list is empty");
  detail::require_each_defined(op, "tensors", tensors);
  const Shape& first = tensors[0].shape();
  const int d = normalize_dim(op, dim, first.rank());
  std::vector<std::int64_t> starts{0};
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    detail::require_same_device(op, tensors[0], tensors[i]);
    Shape expected = first;
    const Shape& shape = tensors[i].shape();
    if (shape.rank() == first.rank()) expected[d] = shape[d];
    TANDEM_CHECK(shape == expected, op, "tensors can differ in dimension ", d,
                 " only: the first is ", first, ", number ", i, " is ", shape);
    starts.push_back(starts.back() + shape[d]);
  }
  Shape joined = first;
  joined[d] = starts.back();
  const Tensor<T> out(joined, tensors[0].device());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    detail::copy_into(out.slice(d, starts[i], starts[i + 1]), tensors[i]);
  }
  if constexpr (FloatingElement<T>) {
    return autograd::record_list(
        op, out,
        [d, starts](const Tensor<T>& dy, autograd::Needs need) {
          std::vector<Tensor<T>> gradients(starts.size() - 1);
          for (std::size_t i = 0; i < gradients.size(); ++i) {
            if (need[static_cast<int>(i)]) gradients[i] = dy.slice(d, starts[i], starts[i + 1]);
          }
          return gradients;
        },
        tensors);
  } else {
    return out;
  }
}

TANDEM_NAMESPACE_END
