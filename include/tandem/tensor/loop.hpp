#pragma once
/// Walking several strided arrays of one shape together, as few and as long inner rows as possible.

#include <cstdint>

#include "tandem/tensor/shape.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// The strides with which a tensor of `shape` is read when it is broadcast to `to` (0 where
/// repeated).
inline Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& to) {
  Strides out = Shape::filled(to.rank(), 0);
  const int shift = to.rank() - shape.rank();
  for (int d = 0; d < shape.rank(); ++d) out[d + shift] = shape[d] == 1 ? 0 : strides[d];
  return out;
}

/// A loop over `shape` with N operands: dimensions of size 1 are dropped and neighbours that every
/// operand steps through evenly are merged. Rows are numbered in row-major order.
template <int N>
struct Loop {
  Shape shape;                 ///< outer sizes; the inner row is not part of it
  Strides strides[extent(N)];  ///< outer strides of each operand, in elements
  std::int64_t inner = 1;      ///< the length of a row
  std::int64_t inner_strides[extent(N)] = {};
  std::int64_t rows = 1;

  std::int64_t numel() const { return rows * inner; }

  /// True when every operand is dense or constant along the row.
  bool inner_is(const std::int64_t (&wanted)[extent(N)]) const {
    for (int i = 0; i < N; ++i) {
      if (inner_strides[i] != wanted[i]) return false;
    }
    return true;
  }

  /// Calls f(offsets) for rows [begin, end): offsets[i] is where operand i's row starts.
  template <class F>
  void for_rows(std::int64_t begin, std::int64_t end, F&& f) const {
    if (begin >= end) return;  // a size may be 0
    std::int64_t index[Shape::max_rank] = {};
    std::int64_t offsets[extent(N)] = {};
    std::int64_t rest = begin;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      index[d] = rest % shape[d];
      rest /= shape[d];
      for (int i = 0; i < N; ++i) offsets[i] += index[d] * strides[i][d];
    }
    for (std::int64_t row = begin; row < end; ++row) {
      f(static_cast<const std::int64_t(&)[extent(N)]>(offsets));
      for (int d = shape.rank() - 1; d >= 0; --d) {
        for (int i = 0; i < N; ++i) offsets[i] += strides[i][d];
        if (++index[d] < shape[d]) break;
        for (int i = 0; i < N; ++i) offsets[i] -= shape[d] * strides[i][d];
        index[d] = 0;
      }
    }
  }
};

/// Builds the loop over `shape` for operands with the given (already broadcast) strides.
template <int N>
Loop<N> make_loop(const Shape& shape, const Strides (&strides)[extent(N)]) {
  Loop<N> loop;
  Shape merged;
  Strides steps[extent(N)];
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] == 1) continue;
    const int last = merged.rank() - 1;
    bool even = last >= 0;
    for (int i = 0; even && i < N; ++i) even = steps[i][last] == strides[i][d] * shape[d];
    if (even) {
      merged[last] *= shape[d];
      for (int i = 0; i < N; ++i) steps[i][last] = strides[i][d];
    } else {
      merged.push_back(shape[d]);
      for (int i = 0; i < N; ++i) steps[i].push_back(strides[i][d]);
    }
  }
  if (merged.rank() > 0) {
    const int last = merged.rank() - 1;
    loop.inner = merged[last];
    merged.erase(last);
    for (int i = 0; i < N; ++i) {
      loop.inner_strides[i] = steps[i][last];
      steps[i].erase(last);
    }
  }
  loop.shape = merged;
  for (int i = 0; i < N; ++i) loop.strides[i] = steps[i];
  loop.rows = loop.inner == 0 ? 0 : merged.numel();
  return loop;
}

/// How gather and scatter_add walk: for each position of the index, where it is in a dense tensor
/// of its shape (near), in the index, and in the other tensor (far) at 0 along the dimension in
/// question.
struct IndexedLoop {
  Loop<3> all;
  Loop<3> columns;                                       ///< all without that dimension
  std::int64_t length, near_step, index_step, far_step;  ///< of the index along it, and the steps
  std::int64_t n;                                        ///< ids are below it
};

}  // namespace detail

/// The operands of an elementwise loop: out[i] = f(in[0][i], in[1][i] …), the inputs broadcast to
/// out's shape. Operand 0 of the loop is `out`.
template <class T, int N>
struct MapOperands {
  T* out;
  const T* in[extent(N)];
  detail::Loop<N + 1> loop;
};

TANDEM_NAMESPACE_END
