#pragma once
/// The search behind max, min, argmax and argmin: the value and the place of the largest or
/// smallest element along a dimension, the first one of equals; the first NaN wins over everything.

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

/// What max(x, dim) and min(x, dim) return.
template <Element T>
struct Extremum {
  Tensor<T> values;              ///< without the dimension, or with size 1 there
  Tensor<std::int64_t> indices;  ///< of the values along the dimension, in the same shape
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

template <int Sign, class T>
void extremum_on_cpu(T* values, std::int64_t* indices, const T* x, std::int64_t outer,
                     std::int64_t n, std::int64_t inner) {
  cpu::parallel_for(outer * inner, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    if constexpr (cpu::has_simd<T>) {
      for (; inner == 1 && begin < end; ++begin) {
        indices[begin] = cpu::simd_dispatch<ExtremumRow<Sign>, T>(x + begin * n, n);
        values[begin] = x[begin * n + indices[begin]];
      }
    }
    while (begin < end) {  // a run of neighbouring columns, row by row
      const std::int64_t column = begin % inner;
      const std::int64_t count = inner - column < end - begin ? inner - column : end - begin;
      const T* row = x + begin / inner * n * inner + column;
      for (std::int64_t k = 0; k < count; ++k) {
        values[begin + k] = row[k];
        indices[begin + k] = 0;
      }
      for (std::int64_t i = 1; i < n; ++i) {
        row += inner;
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
}
template <class T>
void extremum_backward_on_cpu(T* dx, const T* dy, const std::int64_t* indices, std::int64_t outer,
                              std::int64_t n, std::int64_t inner) {
  std::fill_n(dx, outer * n * inner, T(0));
  for (std::int64_t j = 0; j < outer * inner; ++j) {
    dx[(j / inner * n + indices[j]) * inner + j % inner] = dy[j];
  }
}

/// The largest (Sign = 1) or smallest (Sign = −1) element along the middle dimension of
/// (outer, n, inner), n > 0, and its place, both (outer, inner).
template <int Sign, class T>
inline const Kernel<void(Queue&, T* values, std::int64_t* indices, const T* x, std::int64_t outer,
                         std::int64_t n, std::int64_t inner)>
    extremum_forward{Sign > 0 ? "max_forward" : "min_forward", extremum_on_cpu<Sign, T>};
/// dx (outer, n, inner) = dy at those places, 0 elsewhere.
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const std::int64_t* indices,
                         std::int64_t outer, std::int64_t n, std::int64_t inner)>
    extremum_backward{"extremum_backward", extremum_backward_on_cpu<T>};

template <int Sign, Element T>
Extremum<T> find_extremum(const char* op, const Tensor<T>& x, std::int64_t dim, bool keepdim) {
  detail::require_defined(op, "x", x);
  require_kernels(op, x, extremum_forward<Sign, T>);
  const int d = normalize_dim(op, dim, x.rank());
  TANDEM_CHECK(x.shape()[d] > 0, op, "dimension ", d, " of shape ", x.shape(),
               " is empty: there is nothing to choose from");
  Shape shape = x.shape();
  shape[d] = 1;
  if (!keepdim) shape.erase(d);
  const Extremum<T> out{Tensor<T>(shape, x.device()), Tensor<std::int64_t>(shape, x.device())};
  const DimSplit s = split_at(x.shape(), d);
  const Tensor<T> in = x.detach().contiguous();
  extremum_forward<Sign, T>(x.device(), out.values.mutable_device_data(),
                            out.indices.mutable_device_data(), in.device_data(), s.outer, s.n,
                            s.inner);
  return out;
}

template <int Sign, Element T>
Extremum<T> extremum(const char* op, const Tensor<T>& x, std::int64_t dim, bool keepdim) {
  Extremum<T> out = find_extremum<Sign>(op, x, dim, keepdim);
  if constexpr (FloatingElement<T>) {
    require_kernels(op, x, extremum_backward<T>);
    out.values = autograd::record(
        op, out.values,
        [indices = autograd::save(out.indices), shape = x.shape(),
         s = split_at(x.shape(), normalize_dim(op, dim, x.rank()))](const Tensor<T>& dy,
                                                                    autograd::Needs) {
          const Tensor<T> g = dy.contiguous(), dx(shape, dy.device());
          extremum_backward<T>(dy.device(), dx.mutable_device_data(), g.device_data(),
                               indices.get().device_data(), s.outer, s.n, s.inner);
          return std::tuple(dx);
        },
        x);
  }
  return out;
}

}  // namespace detail
TANDEM_NAMESPACE_END
