#pragma once
/// logsumexp — y = ln Σ eˣ along a dimension, as m + ln Σ e^(x−m) with m = max x, which overflows
/// nowhere.
///   dx = dy·e^(x−y)
///   x (…, n, …) → without that dimension, or with size 1 there (keepdim).  Saves x and y.
///
///   Tensor<float> smooth_max = logsumexp(scores, 1);
///
/// A row of −∞ (everything masked), or an empty one, gives −∞ and gradient 0; +∞ gives +∞, and NaN
/// gives NaN. Errors: a dimension out of range.

#include <cstdint>
#include <limits>
#include <tuple>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/vmath.hpp"
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

struct LogSumExpGradient {
  static constexpr int cost = 8;
  template <class V>
  TANDEM_FORMULA V operator()(V dy, V x, V y) const {
    using C = formula::element_t<V>;
    const V all_masked(-std::numeric_limits<C>::infinity());
    return select(y == all_masked, V(C(0)), dy * cpu::exp(x - y));
  }
};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> logsumexp(const Tensor<T>& x, Dim dim,
                                                           bool keepdim = false) {
  const char* const op = "logsumexp";
  detail::require_defined(op, "x", x);
  detail::require_cpu(op, x);
  const int d = normalize_dim(op, dim, x.rank());
  Shape order, kept = x.shape();
  for (int i = 0; i < x.rank(); ++i) {
    if (i != d) order.push_back(i);
  }
  order.push_back(d);
  kept[d] = 1;
  const Tensor<T> rows = x.detach().permute(order).contiguous();
  const Tensor<T> y(kept);
  const T* from = rows.data();
  T* to = y.mutable_data();
  const std::int64_t n = x.shape()[d];
  cpu::parallel_for(y.numel(), detail::grain_for(8 * n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      to[r] = cpu::simd_dispatch<detail::LogSumExpRow, T>(from + r * n, n);
    }
  });
  Shape shape = kept;
  if (!keepdim) shape.erase(d);
  return autograd::record(
      op, y.view(shape),
      [x = autograd::save(x), y = autograd::save(y)](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.reshape(y.get().shape());
        return std::tuple(
            detail::map("logsumexp", detail::LogSumExpGradient(), g, x.get(), y.get()));
      },
      x);
}

TANDEM_NAMESPACE_END
