#pragma once
/// Which layouts touch the same memory: what an in-place operation must know before it writes.

#include <cstdint>

#include "tandem/tensor/shape.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// The first and the last element that a layout reaches, counted from where its data begin.
struct Reach {
  std::int64_t first = 0, last = 0;
};
inline Reach reach_of(const Shape& shape, const Strides& strides) {
  Reach reach;
  for (int d = 0; d < shape.rank(); ++d) {
    const std::int64_t most = (shape[d] - 1) * strides[d];
    (most < 0 ? reach.first : reach.last) += most;
  }
  return reach;
}

/// True when two indices may be one place in memory. Exact for every view of a dense tensor: there
/// each dimension steps over all that the dimensions with smaller strides reach.
inline bool overlaps_itself(const Shape& shape, const Strides& strides) {
  std::int64_t steps[Shape::max_rank], sizes[Shape::max_rank];
  int n = 0;
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] == 0) return false;
    if (shape[d] == 1) continue;
    const std::int64_t step = strides[d] < 0 ? -strides[d] : strides[d];
    int at = n++;
    for (; at > 0 && steps[at - 1] > step; --at) {
      steps[at] = steps[at - 1];
      sizes[at] = sizes[at - 1];
    }
    steps[at] = step;
    sizes[at] = shape[d];
  }
  std::int64_t reached = 0;
  for (int i = 0; i < n; ++i) {
    if (steps[i] <= reached) return true;
    reached += (sizes[i] - 1) * steps[i];
  }
  return false;
}

/// True when the memory between the first and the last element of `a` meets that of `b`: they may
/// be one tensor, overlap, or lie between each other's elements. Both on one device.
template <class A, class B>
bool may_share_memory(const A& a, const B& b) {
  if (a.numel() == 0 || b.numel() == 0) return false;
  const auto bounds = [](const auto& x, std::uintptr_t& begin, std::uintptr_t& end) {
    const Reach reach = reach_of(x.shape(), x.strides());
    begin = reinterpret_cast<std::uintptr_t>(x.device_data() + reach.first);
    end = reinterpret_cast<std::uintptr_t>(x.device_data() + reach.last + 1);
  };
  std::uintptr_t a_begin = 0, a_end = 0, b_begin = 0, b_end = 0;
  bounds(a, a_begin, a_end);
  bounds(b, b_begin, b_end);
  return a_begin < b_end && b_begin < a_end;
}

}  // namespace detail

TANDEM_NAMESPACE_END
