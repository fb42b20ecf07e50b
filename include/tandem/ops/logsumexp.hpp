#pragma once
/// logsumexp — y = ln Σ eˣ along a dimension, as m + ln Σ e^(x−m) with m = max x, which overflows
/// nowhere.
///   dx = dy·e^(x−y)
///   x (…, n, …) → without that dimension, or with size 1 there (keepdim).  Saves x and y.
///
///   logsumexp(tensor<float>({{1000, 1000}}), 1);   // → [1000.6932]
///
/// A row of −∞ (everything masked), or an empty one, gives −∞ and gradient 0; +∞ gives +∞, and NaN
/// gives NaN. Errors: a dimension out of range.

#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/vmath.hpp"
#include "tandem/formula/logsumexp.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

struct LogSumExpRow {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE T run(const T* x, std::int64_t n) {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    V lanes(-infinity);
    cpu::for_each_vec<V>(n, [&](std::int64_t i, std::int64_t count) TANDEM_INLINE_LAMBDA {
      const V v = V::load_partial(x + i, count);
      lanes = select(cpu::Mask<T, V::size>::first(count), max_nan(lanes, v), lanes);
    });
    const T m = reduce_max(lanes);
    if (!(m - m == 0)) return m;  // infinite or NaN: there is nothing to add up
    const T sum = cpu::vec_sum<V>(
        n, [most = V(m)](V v) TANDEM_INLINE_LAMBDA { return cpu::exp(v - most); }, x);
    return m + cpu::log(V(sum))[0];
  }
};

/// Neighbouring columns are laid out as rows first, a few at a time.
template <class T>
void logsumexp_on_cpu(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  cpu::parallel_for(outer * inner, grain_for(8 * n), [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t width = 16;
    std::vector<T> rows(static_cast<std::size_t>(inner == 1 ? 0 : width * n));
    while (begin < end) {
      const std::int64_t column = begin % inner;
      const T* from = x + begin / inner * n * inner + column;
      std::int64_t count = inner - column < end - begin ? inner - column : end - begin;
      if (count > width) count = width;
      if (inner != 1) {
        for (std::int64_t i = 0; i < n; ++i) {
          for (std::int64_t k = 0; k < count; ++k) {
            rows[static_cast<std::size_t>(k * n + i)] = from[i * inner + k];
          }
        }
        from = rows.data();
      }
      for (std::int64_t k = 0; k < count; ++k) {
        y[begin + k] = cpu::simd_dispatch<LogSumExpRow, T>(from + k * n, n);
      }
      begin += count;
    }
  });
}

/// y (outer, inner) of x (outer, n, inner), along the middle dimension.
template <class T>
inline const Kernel<void(Queue&, T* y, const T* x, std::int64_t outer, std::int64_t n,
                         std::int64_t inner)>
    logsumexp_forward{"logsumexp_forward", logsumexp_on_cpu<T>};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> logsumexp(const Tensor<T>& x, Dim dim,
                                                           bool keepdim = false) {
  const char* const op = "logsumexp";
  detail::require_defined(op, "x", x);
  detail::require_kernels(op, x, detail::logsumexp_forward<T>,
                          cpu::map_kernel<formula::LogSumExpGradient, T, 3>);
  const int d = normalize_dim(op, dim, x.rank());
  const detail::DimSplit s = detail::split_at(x.shape(), d);
  Shape kept = x.shape();
  kept[d] = 1;
  const Tensor<T> xs = x.detach().contiguous(), y(kept, x.device());
  detail::logsumexp_forward<T>(x.device(), y.mutable_device_data(), xs.device_data(), s.outer, s.n,
                               s.inner);
  Shape shape = kept;
  if (!keepdim) shape.erase(d);
  return autograd::record(
      op, y.view(shape),
      [x = autograd::save(x), y = autograd::save(y)](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.reshape(y.get().shape());
        return std::tuple(
            detail::map("logsumexp", formula::LogSumExpGradient(), g, x.get(), y.get()));
      },
      x);
}
TANDEM_FLOATS_ONLY(logsumexp)

TANDEM_NAMESPACE_END
