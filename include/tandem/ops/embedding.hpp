#pragma once
/// embedding — y[…, :] = weight[ids[…], :], the row of a table for each id.
///   dweight[i, :] = Σ dy[…, :] over the places where ids = i, in their order: same bits always
///   ids int64 (…), weight (V, d) → (…, d).  Saves ids.
///
///   const auto table = tensor<float>({{0, 0}, {1, 10}, {2, 20}});
///   embedding(tensor<std::int64_t>({2, 0, 2}), table);   // → [[2., 20.], [0., 0.], [2., 20.]]
///
/// Errors: weight not two-dimensional, an id outside [0, V) (on a GPU: a row of NaN, as in
/// index_select).

#include "tandem/ops/index_select.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
Tensor<T> embedding(const Tensor<std::int64_t>& ids, const Tensor<T>& weight) {
  const char* const op = "embedding";
  detail::require_defined(op, "ids", ids, "weight", weight);
  detail::require_same_device(op, weight, ids);
  detail::require_kernels(op, weight, detail::select_rows<T>);
  TANDEM_CHECK(weight.rank() == 2, op, "the table must have two dimensions, its shape is ",
               weight.shape());
  Shape shape = ids.shape();
  shape.push_back(weight.size(1));
  const Tensor<std::int64_t> flat = ids.reshape({ids.numel()});
  detail::check_ids(op, flat.contiguous(), weight.size(0));
  return index_select(weight, 0, flat).reshape(shape);
}
template <Element T, Element I>
requires(!std::is_same_v<I, std::int64_t>) detail::ids_are_int64_convert_by_to_int64
    embedding(const Tensor<I>&, const Tensor<T>&)
= delete;

TANDEM_NAMESPACE_END
