#pragma once
/// The search behind max, min, argmax and argmin: the value and the place of the largest or
/// smallest element along a dimension, the first one of equals; the first NaN wins over everything.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

/// What max(x, dim) and min(x, dim) return.
template <Element T>
struct Extremum {
  Tensor<T> values;
  Tensor<std::int64_t> indices;
};

namespace detail {

/// Where the largest (Sign = 1) or smallest (Sign = −1) of n > 0 dense elements is.
template <int Sign>
struct ExtremumRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE V better(V a, V b) {
    if constexpr (Sign > 0) {
      return select((a > b) | (a != a), a, b);
    } else {
      return select((a < b) | (a != a), a, b);
    }
  }
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE std::int64_t run(const T* x, std::int64_t n) {
    V lanes(x[0]);
    std::int64_t i = 0;
    for (; i + V::size <= n; i += V::size) lanes = better(lanes, V::load(x + i));
    T best = x[0];
    for (int l = 0; l < V::size; ++l) best = pick(best, lanes[l]);
    for (; i < n; ++i) best = pick(best, x[i]);
    const bool nan = best != best;
    const V wanted(best);
    for (i = 0; i + V::size <= n; i += V::size) {
      const V v = V::load(x + i);
      if ((nan ? v != v : v == wanted).any()) break;
    }
    while (nan ? x[i] == x[i] : x[i] != best) ++i;
    return i;
  }
  template <class T>
  static TANDEM_ALWAYS_INLINE T pick(T a, T b) {
    return (Sign > 0 ? a >= b : a <= b) || a != a ? a : b;
  }
};

template <int Sign, Element T>
Extremum<T> find_extremum(const char* op, const Tensor<T>& x, std::int64_t dim, bool keepdim) {
  detail::require_defined(op, "x", x);
  require_cpu(op, x);
  const int d = normalize_dim(op, dim, x.rank());
  TANDEM_CHECK(x.shape()[d] > 0, op, "dimension ", d, " of shape ", x.shape(),
               " is empty: there is nothing to choose from");
  Shape shape = x.shape();
  shape[d] = 1;
  if (!keepdim) shape.erase(d);
  const Extremum<T> out{Tensor<T>(shape), Tensor<std::int64_t>(shape)};
  const DimSplit s = split_at(x.shape(), d);
  const Tensor<T> in = x.detach().contiguous();
  const T* from = in.data();
  T* values = out.values.mutable_data();
  std::int64_t* indices = out.indices.mutable_data();
  cpu::parallel_for(s.outer * s.inner, grain_for(s.n), [&](std::int64_t begin, std::int64_t end) {
    if constexpr (cpu::has_simd<T>) {
      for (; s.inner == 1 && begin < end; ++begin) {
        indices[begin] = cpu::simd_dispatch<ExtremumRow<Sign>, T>(from + begin * s.n, s.n);
        values[begin] = from[begin * s.n + indices[begin]];
      }
    }
    while (begin < end) {  // a run of neighbouring columns, row by row
      const std::int64_t column = begin % s.inner;
      const std::int64_t count = s.inner - column < end - begin ? s.inner - column : end - begin;
      const T* row = from + begin / s.inner * s.n * s.inner + column;
      for (std::int64_t k = 0; k < count; ++k) {
        values[begin + k] = row[k];
        indices[begin + k] = 0;
      }
      for (std::int64_t i = 1; i < s.n; ++i) {
        row += s.inner;
        for (std::int64_t k = 0; k < count; ++k) {
          const T old = values[begin + k], now = row[k];
          const bool better = ((Sign > 0 ? now > old : now < old) || now != now) && old == old;
          values[begin + k] = better ? now : old;
          indices[begin + k] = better ? i : indices[begin + k];
        }
      }
      begin += count;
    }
  });
  return out;
}

/// dy at the chosen elements of a tensor of `shape`, 0 elsewhere.
template <class T>
Tensor<T> scatter_to_chosen(const Tensor<T>& dy, const Tensor<std::int64_t>& indices,
                            const Shape& shape, int dim) {
  const DimSplit s = split_at(shape, dim);
  const Tensor<T> g = dy.contiguous(), dx = zeros<T>(shape);
  const T* from = g.data();
  const std::int64_t* chosen = indices.data();
  T* to = dx.mutable_data();
  for (std::int64_t j = 0; j < s.outer * s.inner; ++j) {
    to[(j / s.inner * s.n + chosen[j]) * s.inner + j % s.inner] = from[j];
  }
  return dx;
}

template <int Sign, Element T>
Extremum<T> extremum(const char* op, const Tensor<T>& x, std::int64_t dim, bool keepdim) {
  Extremum<T> out = find_extremum<Sign>(op, x, dim, keepdim);
  if constexpr (FloatingElement<T>) {
    out.values = autograd::record(
        op, out.values,
        [indices = autograd::save(out.indices), shape = x.shape(),
         d = normalize_dim(op, dim, x.rank())](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(scatter_to_chosen(dy, indices.get(), shape, d));
        },
        x);
  }
  return out;
}

}  // namespace detail
TANDEM_NAMESPACE_END
