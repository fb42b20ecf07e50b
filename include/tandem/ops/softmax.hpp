#pragma once
/// softmax      y_i = e^{x_i − m} / Σ_j e^{x_j − m},  m = max x,  along one dimension
///   dx = y·(dy − Σ y·dy).   Saves y.
/// log_softmax  y_i = (x_i − m) − log Σ_j e^{x_j − m}
///   dx = dy − e^y·Σ dy.     Saves y.
///   x (…, n, …) → same shape.  mask (bool, broadcast to x), true = takes part: masked entries have
///   probability 0 (softmax 0, log_softmax −∞), gradient 0, and may hold anything, NaN included.
///   A row in which nothing takes part gives zeros (−∞ for the logarithm) and zero gradient.
///   An entry of −∞ counts as masked.
///
///   const auto scores = tensor<float>({{1, 1}, {0, 1}});
///   softmax(scores);                  // → [[0.5, 0.5], [0.2689, 0.7311]]
///   softmax(scores, 1, scores < 1);   // → [[0., 0.], [1., 0.]]   of those only
///   log_softmax(scores);              // → [[-0.6931, -0.6931], [-1.3133, -0.3133]]
///
/// Errors: a mask that does not broadcast to x, or is on another device.

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/vmath.hpp"
#include "tandem/ops/parts/common.hpp"
#include "tandem/ops/where.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Softmax of rows of Full vectors and less than one more, which stay in registers, two rows at a
/// time: a row alone is one long chain of dependent operations. The same bits as the general loop
/// below.
template <class V, class T, std::size_t... Full>
TANDEM_ALWAYS_INLINE void softmax_short_rows(std::int64_t rows, std::int64_t n, const T* x, T* y,
                                             std::index_sequence<Full...>) {
  constexpr std::int64_t N = V::size;
  constexpr std::size_t full = sizeof...(Full);
  const std::int64_t rest = n - static_cast<std::int64_t>(full) * N;
  const auto first = cpu::Mask<T, V::size>::first(rest);
  const V zero(T(0)), none(static_cast<T>(-__builtin_inf()));
  const auto load = [&](V* e, const T* from) TANDEM_INLINE_LAMBDA {
    ((e[Full] = V::load(from + static_cast<std::int64_t>(Full) * N)), ...);
    e[full] = cpu::select(first, V::load_partial(from + n - rest, rest), none);
    V most = e[full];
    ((most = cpu::max_nan(most, e[Full])), ...);
    return most;
  };
  const auto subtract = [](V* e, T largest) TANDEM_INLINE_LAMBDA {
    const V m(largest == static_cast<T>(-__builtin_inf()) ? T(0)
                                                          : largest);  // −∞: nothing takes part
    ((e[Full] = e[Full] - m), ...);
    e[full] = e[full] - m;
  };
  const auto add = [&](const V* e) TANDEM_INLINE_LAMBDA {
    V total = zero;
    ((total += e[Full]), ...);
    return total + e[full];
  };
  const auto scale = [&](const V* e, T sum, T* to) TANDEM_INLINE_LAMBDA {
    const V factor(sum == 0 ? T(0) : 1 / sum);
    ((e[Full] * factor).store(to + static_cast<std::int64_t>(Full) * N), ...);
    (e[full] * factor).store_partial(to + n - rest, rest);
  };
  std::int64_t r = 0;
  for (; r + 2 <= rows; r += 2, x += 2 * n, y += 2 * n) {
    V a[full + 1], b[full + 1];
    const V most_a = load(a, x), most_b = load(b, x + n);
    subtract(a, cpu::reduce_max(most_a));
    subtract(b, cpu::reduce_max(most_b));
    ((a[Full] = cpu::exp(a[Full]), b[Full] = cpu::exp(b[Full])), ...);
    a[full] = cpu::exp(a[full]);
    b[full] = cpu::exp(b[full]);
    const T sum_a = cpu::reduce_sum(add(a)), sum_b = cpu::reduce_sum(add(b));
    scale(a, sum_a, y);
    scale(b, sum_b, y + n);
  }
  if (r < rows) {
    V a[full + 1];
    subtract(a, cpu::reduce_max(load(a, x)));
    ((a[Full] = cpu::exp(a[Full])), ...);
    a[full] = cpu::exp(a[full]);
    scale(a, cpu::reduce_sum(add(a)), y);
  }
}

/// Softmax (or its logarithm) of `rows` rows of length n; y may be x.
template <bool Log>
struct SoftmaxRows {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t n, const T* x, T* y) {
    if constexpr (!Log) {
      switch (n / V::size) {
        case 0:
          return softmax_short_rows<V>(rows, n, x, y, std::make_index_sequence<0>());
        case 1:
          return softmax_short_rows<V>(rows, n, x, y, std::make_index_sequence<1>());
        case 2:
          return softmax_short_rows<V>(rows, n, x, y, std::make_index_sequence<2>());
        case 3:
          return softmax_short_rows<V>(rows, n, x, y, std::make_index_sequence<3>());
        default:
          break;
      }
    }
    for (std::int64_t r = 0; r < rows; ++r, x += n, y += n) {
      T largest = cpu::row_max<V>(x, n);
      if (largest == static_cast<T>(-__builtin_inf())) largest = 0;  // nothing takes part
      const V m(largest);
      if constexpr (Log) {
        const T sum = cpu::vec_sum<V>(
            n, [m](V a) TANDEM_INLINE_LAMBDA { return cpu::exp(a - m); }, x);
        const V shift(sum == 0 ? T(0) : static_cast<T>(__builtin_log(sum)));
        cpu::vec_map<V>(
            n, y, [m, shift](V a) TANDEM_INLINE_LAMBDA { return (a - m) - shift; }, x);
      } else {
        cpu::vec_map<V>(
            n, y, [m](V a) TANDEM_INLINE_LAMBDA { return cpu::exp(a - m); }, x);
        const T sum = cpu::row_sum<V>(y, n);
        const V scale(sum == 0 ? T(0) : 1 / sum);
        cpu::vec_map<V>(
            n, y, [scale](V a) TANDEM_INLINE_LAMBDA { return a * scale; }, y);
      }
    }
  }
};

template <bool Log>
struct SoftmaxRowsBackward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t n, const T* y, const T* dy,
                                       T* dx) {
    const V zero(T(0)), none(static_cast<T>(-__builtin_inf()));
    for (std::int64_t r = 0; r < rows; ++r, y += n, dy += n, dx += n) {
      if constexpr (Log) {
        const V total(cpu::vec_sum<V>(
            n, [=](V p, V g) TANDEM_INLINE_LAMBDA { return cpu::select(p > none, g, zero); }, y,
            dy));
        cpu::vec_map<V>(
            n, dx,
            [=](V p, V g) TANDEM_INLINE_LAMBDA {
              return cpu::select(p > none, g - cpu::exp(p) * total, zero);
            },
            y, dy);
      } else {
        const V along(cpu::row_dot<V>(y, dy, n));
        cpu::vec_map<V>(
            n, dx, [=](V p, V g) TANDEM_INLINE_LAMBDA { return p * (g - along); }, y, dy);
      }
    }
  }
};

/// The same down the columns of (n, inner): the lanes are neighbouring columns, `width` of them.
template <bool Log>
struct SoftmaxColumns {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t n, std::int64_t inner, std::int64_t width,
                                       const T* x, T* y) {
    const V zero(T(0)), none(static_cast<T>(-__builtin_inf()));
    cpu::for_each_vec<V>(width, [&](std::int64_t j, std::int64_t count) TANDEM_INLINE_LAMBDA {
      V m = none;
      for (std::int64_t i = 0; i < n; ++i) {
        m = cpu::max_nan(m, V::load_partial(x + i * inner + j, count));
      }
      m = cpu::select(m == none, zero, m);
      V sum = zero;
      for (std::int64_t i = 0; i < n; ++i) {
        const V e = cpu::exp(V::load_partial(x + i * inner + j, count) - m);
        sum += e;
        if constexpr (!Log) e.store_partial(y + i * inner + j, count);
      }
      const auto empty = sum == zero;
      if constexpr (Log) {
        const V shift = cpu::select(empty, zero, cpu::log(sum));
        for (std::int64_t i = 0; i < n; ++i) {
          ((V::load_partial(x + i * inner + j, count) - m) - shift)
              .store_partial(y + i * inner + j, count);
        }
      } else {
        const V scale = cpu::select(empty, zero, V(T(1)) / sum);
        for (std::int64_t i = 0; i < n; ++i) {
          (V::load_partial(y + i * inner + j, count) * scale)
              .store_partial(y + i * inner + j, count);
        }
      }
    });
  }
};

template <bool Log>
struct SoftmaxColumnsBackward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t n, std::int64_t inner, std::int64_t width,
                                       const T* y, const T* dy, T* dx) {
    const V zero(T(0)), none(static_cast<T>(-__builtin_inf()));
    cpu::for_each_vec<V>(width, [&](std::int64_t j, std::int64_t count) TANDEM_INLINE_LAMBDA {
      V sum = zero;
      for (std::int64_t i = 0; i < n; ++i) {
        const V p = V::load_partial(y + i * inner + j, count);
        const V g = V::load_partial(dy + i * inner + j, count);
        sum += Log ? cpu::select(p > none, g, zero) : p * g;
      }
      for (std::int64_t i = 0; i < n; ++i) {
        const V p = V::load_partial(y + i * inner + j, count);
        const V g = V::load_partial(dy + i * inner + j, count);
        const V d = Log ? cpu::select(p > none, g - cpu::exp(p) * sum, zero) : p * (g - sum);
        d.store_partial(dx + i * inner + j, count);
      }
    });
  }
};

/// Runs a rows or a columns kernel over all of (outer, n, inner); pointers[k] belong to operand k.
template <class RowsKernel, class ColumnsKernel, class T, class... P>
void run_softmax(const DimSplit& s, P*... pointers) {
  if (s.inner == 1) {
    cpu::parallel_for(s.outer, grain_for(4 * s.n), [&](std::int64_t begin, std::int64_t end) {
      cpu::simd_dispatch<RowsKernel, T>(end - begin, s.n, (pointers + begin * s.n)...);
    });
    return;
  }
  constexpr std::int64_t width = 64;  // columns per task
  const std::int64_t pieces = cpu::num_chunks(s.inner, width);
  const std::int64_t grain = grain_for(4 * s.n * (s.inner < width ? s.inner : width));
  cpu::parallel_for(s.outer * pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t column = task % pieces * width, rest = s.inner - column;
      const std::int64_t at = task / pieces * s.n * s.inner + column;
      cpu::simd_dispatch<ColumnsKernel, T>(s.n, s.inner, rest < width ? rest : width,
                                           (pointers + at)...);
    }
  });
}

template <bool Log, class T>
void softmax_on_cpu(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  run_softmax<SoftmaxRows<Log>, SoftmaxColumns<Log>, T>({outer, n, inner}, x, y);
}
template <bool Log, class T>
void softmax_backward_on_cpu(T* dx, const T* y, const T* dy, std::int64_t outer, std::int64_t n,
                             std::int64_t inner) {
  run_softmax<SoftmaxRowsBackward<Log>, SoftmaxColumnsBackward<Log>, T>({outer, n, inner}, y, dy,
                                                                        dx);
}

/// y = softmax of x (or its logarithm) along the middle dimension of (outer, n, inner), and dx.
template <bool Log, class T>
inline const Kernel<void(Queue&, T* y, const T* x, std::int64_t outer, std::int64_t n,
                         std::int64_t inner)>
    softmax_forward{Log ? "log_softmax_forward" : "softmax_forward", softmax_on_cpu<Log, T>};
template <bool Log, class T>
inline const Kernel<void(Queue&, T* dx, const T* y, const T* dy, std::int64_t outer, std::int64_t n,
                         std::int64_t inner)>
    softmax_backward{Log ? "log_softmax_backward" : "softmax_backward",
                     softmax_backward_on_cpu<Log, T>};

/// A dense copy of x with −∞ where the mask, broadcast to x, is false.
template <class T>
Tensor<T> masked_copy(const char* op, const Tensor<T>& x, const Tensor<bool>& mask) {
  TANDEM_CHECK(broadcast_shapes(op, x.shape(), mask.shape()) == x.shape(), op, "a mask of shape ",
               mask.shape(), " does not broadcast to ", x.shape());
  require_same_device(op, x, mask);
  require_kernels(op, x, choose_elements<T>);
  return choose(mask, x, full<T>({}, static_cast<T>(-__builtin_inf()), x.device()));
}

template <bool Log, class T>
Tensor<T> softmax_along(const char* op, const Tensor<T>& x, std::int64_t dim,
                        const Tensor<bool>& mask) {
  require_defined(op, "x", x);
  require_given_or_none(op, "mask", mask);
  require_kernels(op, x, softmax_forward<Log, T>, softmax_backward<Log, T>);
  const DimSplit s = split_at(x.shape(), normalize_dim(op, dim, x.rank()));
  const Tensor<T> xs = mask.defined() ? masked_copy(op, x.detach(), mask) : x.detach().contiguous();
  const Tensor<T> y(x.shape(), x.device());
  softmax_forward<Log, T>(x.device(), y.mutable_device_data(), xs.device_data(), s.outer, s.n,
                          s.inner);
  return autograd::record(
      op, y,
      [s, y = autograd::save(y)](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(dy.shape(), dy.device());
        softmax_backward<Log, T>(dy.device(), dx.mutable_device_data(), y.get().device_data(),
                                 g.device_data(), s.outer, s.n, s.inner);
        return std::tuple(dx);
      },
      x);
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> softmax(const Tensor<T>& x, Dim dim = -1,
                                                         const Tensor<bool>& mask = {}) {
  return detail::softmax_along<false>("softmax", x, dim, mask);
}

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> log_softmax(const Tensor<T>& x, Dim dim = -1,
                                                             const Tensor<bool>& mask = {}) {
  return detail::softmax_along<true>("log_softmax", x, dim, mask);
}
TANDEM_FLOATS_ONLY(softmax)
TANDEM_FLOATS_ONLY(log_softmax)

TANDEM_NAMESPACE_END
