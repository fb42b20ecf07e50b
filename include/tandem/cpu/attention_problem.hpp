#pragma once
/// Attention's sizes, masks and matrices, as its functions take them on every device
/// (attention.hpp).

#include <cstdint>

#include "tandem/cpu/precision.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// Where the (positions, width) matrix of each batch entry and head lies; width is contiguous.
template <class T>
struct HeadView {
  T* data = nullptr;
  std::int64_t batch_step = 0, head_step = 0, row_step = 0;

  TANDEM_FORMULA T* at(std::int64_t b, std::int64_t h) const {
    return data + b * batch_step + h * head_step;
  }
};

/// What is asked of the functions of attention.hpp, apart from where the matrices lie.
template <class T>
struct AttentionProblem {
  std::int64_t batch, heads, queries, keys, width;  // width: d, of a head
  T scale;
  bool causal;
  const bool* key_mask;    // (batch, keys), null: every key may be seen
  const bool* query_mask;  // (batch, queries), null: every query is wanted
  Precision precision;
};

}  // namespace detail
TANDEM_NAMESPACE_END
