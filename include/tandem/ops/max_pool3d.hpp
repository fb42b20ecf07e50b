#pragma once
/// max_pool3d — y[n, c, p] = max over the window at p of x[n, c, ·] and, where the window reaches
///   outside, of the padding value.
///   dx[n, c, q] = Σ dy over the windows that chose q: the first of equals in the order of depth,
///   height, width; what padding wins is lost. The first NaN wins over everything.
///   x (N, C, D, H, W) → (N, C, D', H', W'), sizes in window3d.hpp.  Saves where each maximum was.
///
///   const auto x = arange<float>(64).reshape({1, 1, 4, 4, 4});
///   max_pool3d(x, {.kernel = Triple::all(4)});                           // → [[[[[63.]]]]]
///   max_pool3d(x, {.kernel = Triple::all(3), .stride = Triple::all(1),
///                  .padding = Padding3d::same(), .padding_value = 0});   // → (1, 1, 4, 4, 4)
///
/// With −∞, the default, padding never wins; after a ReLU, 0 gives the same values.
/// Each row of the result takes the maximum over depth and height for every column first, vectors
/// at a time, then over width. Errors: a kernel that does not fit, padding not below the kernel.

#include <cstdint>
#include <limits>
#include <tuple>

#include "tandem/cpu/pool3d_rows.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// The window of max_pool3d.
struct MaxPool3dOptions {
  Triple kernel;                   ///< its size
  Triple stride = Triple::all(0);  ///< all 0: the kernel
  Padding3d padding = {};          ///< none, margins per axis, or Padding3d::same()
  /// what the margins hold; −∞ never wins
  double padding_value = -std::numeric_limits<double>::infinity();
};

namespace detail {

/// Candidates for maxima and, if `follow`, their positions: numbers that count the elements of the
/// padded volume in the order in which a window is scanned. Padding of −∞ comes last and loses
/// ties.
template <bool follow, class V>
struct MaxPoolBest {
  using T = typename V::value_type;
  using P = typename V::Int;
  using I = typename P::value_type;
  V value;
  P at;

  static TANDEM_ALWAYS_INLINE MaxPoolBest load(const T* value, const I* at) {
    if constexpr (follow) return {V::load(value), P::load(at)};
    return {V::load(value), P(I(0))};
  }
  TANDEM_ALWAYS_INLINE void store(T* to, I* to_at) const {
    value.store(to);
    if constexpr (follow) at.store(to_at);
  }
  /// Takes b where it is larger, a first NaN, or equal and earlier.
  TANDEM_ALWAYS_INLINE void meet(const MaxPoolBest& b) {
    if constexpr (follow) {
      const V a = value;
      const auto nan_a = a != a, nan_b = b.value != b.value;
      const auto larger = (b.value > a) | (nan_b & ~nan_a);
      const auto equal = (b.value == a) | (nan_a & nan_b);
      const auto take = larger | (equal & cpu::mask_cast<T>(b.at < at));
      at = cpu::select(cpu::mask_cast<I>(take), b.at, at);
      value = cpu::select(take, b.value, a);
    } else {
      value = cpu::max_nan(b.value, value);
    }
  }
};

/// One plane. `row` and `row_at` (if `follow`) are buffers for a padded row.
template <bool follow>
struct MaxPoolPlane {
  template <class V, class T, class I>
  static TANDEM_ALWAYS_INLINE void run(const Window3d* window, const T* x, T padding, T* y,
                                       std::int32_t* at, T* row, I* row_at) {
    const std::int64_t width = (*window)[2].out;
    for (std::int64_t od = 0; od < (*window)[0].out; ++od) {
      for (std::int64_t oh = 0; oh < (*window)[1].out; ++oh, y += width) {
        over_rows<V>(*window, od, oh, x, padding, row, row_at);
        over_width<V>((*window)[2], row, row_at, y, at);
        if constexpr (follow) at += width;
      }
    }
  }

  /// row = the best over depth and height of every column, padding at both ends.
  template <class V, class T, class I>
  static TANDEM_ALWAYS_INLINE void over_rows(const Window3d& window, std::int64_t od,
                                             std::int64_t oh, const T* x, T padding, T* row,
                                             I* row_at) {
    using Best = MaxPoolBest<follow, V>;
    using P = typename V::Int;
    constexpr std::int64_t N = V::size;
    const WindowAxis &d = window[0], &h = window[1], &w = window[2];
    const std::int64_t rows = h.in + h.front + h.back, cols = w.in + w.front + w.back;
    const TapRange td(d, od), th(h, oh);
    const auto position = [&](std::int64_t kd, std::int64_t kh) {
      return ((od * d.stride + kd) * rows + oh * h.stride + kh) * cols;
    };
    bool first = true;
    // Tap row (kd, kh) of the window meets those before it; null is a row of padding.
    const auto take = [&](std::int64_t kd, std::int64_t kh, const T* from) TANDEM_INLINE_LAMBDA {
      const std::int64_t where = position(kd, kh) + w.front;
      for (std::int64_t i = 0; i < w.in; i += N) {
        Best b{V(padding), P(static_cast<I>(where + i)) + P::iota()};
        if (from != nullptr) {
          b.value = w.in - i >= N ? V::load(from + i) : V::load_partial(from + i, w.in - i);
        }
        T* const to = row + w.front + i;
        I* const to_at = follow ? row_at + w.front + i : nullptr;
        if (!first) {
          const Best now = b;
          b = Best::load(to, to_at);
          b.meet(now);
        }
        b.store(to, to_at);
      }
      first = false;
    };
    for (std::int64_t kd = td.first; kd < td.last; ++kd) {
      for (std::int64_t kh = th.first; kh < th.last; ++kh) {
        take(kd, kh, x + ((td.start + kd) * h.in + th.start + kh) * w.in);
      }
    }
    const bool never = padding == -std::numeric_limits<T>::infinity();
    const bool before = td.first > 0 || th.first > 0;
    if (!never && (before || th.last < h.kernel || td.last < d.kernel)) {
      // Of the rows of padding only the first can win.
      const bool below = !before && th.last < h.kernel;
      take(before || below ? 0 : td.last, below ? th.last : 0, nullptr);
    }
    const auto pad = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        row[i] = padding;
        if constexpr (follow) {
          row_at[i] = never ? std::numeric_limits<I>::max() : static_cast<I>(position(0, 0) + i);
        }
      }
    };
    pad(0, w.front);
    pad(w.front + w.in, cols);
  }

  /// The best of every `kernel` neighbours in place, then every `stride`-th of them.
  template <class V, class T, class I>
  static TANDEM_ALWAYS_INLINE void over_width(const WindowAxis& w, T* row, I* row_at, T* y,
                                              std::int32_t* at) {
    using Best = MaxPoolBest<follow, V>;
    for (std::int64_t i = 0; i < (w.out - 1) * w.stride + 1; i += V::size) {
      I* const where = follow ? row_at + i : nullptr;
      Best best = Best::load(row + i, where);
      for (std::int64_t k = 1; k < w.kernel; ++k) {
        best.meet(Best::load(row + i + k, follow ? where + k : nullptr));
      }
      best.store(row + i, where);
    }
    for (std::int64_t o = 0; o < w.out; ++o) {
      y[o] = row[o * w.stride];
      if constexpr (follow) at[o] = static_cast<std::int32_t>(row_at[o * w.stride]);
    }
  }
};

/// dx of one plane from the positions that MaxPoolPlane followed.
template <class T>
void max_pool_backward(const Window3d& window, const T* dy, const std::int32_t* at, T* dx) {
  const WindowAxis &d = window[0], &h = window[1], &w = window[2];
  const auto rows = static_cast<std::uint32_t>(h.in + h.front + h.back);
  const auto cols = static_cast<std::uint32_t>(w.in + w.front + w.back);
  for (std::int64_t i = 0; i < window.inputs(); ++i) dx[i] = T(0);
  for (std::int64_t o = 0; o < window.outputs(); ++o) {
    const auto p = static_cast<std::uint32_t>(at[o]);  // 32-bit divisions are the fast ones
    const std::uint32_t q = p / cols;
    const std::int64_t x = p - q * cols - w.front, y = q % rows - h.front, z = q / rows - d.front;
    if (x < 0 || x >= w.in || y < 0 || y >= h.in || z < 0 || z >= d.in) continue;  // padding
    dx[(z * h.in + y) * w.in + x] += dy[o];
  }
}

/// at: null where no backward follows.
template <class T>
void max_pool3d_on_cpu(T* y, std::int32_t* at, const T* x, std::int64_t planes,
                       const Window3d& window, T padding) {
  each_plane(planes, window, [&](std::int64_t begin, std::int64_t end) {
    using I = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
    const bool follow = at != nullptr;
    const Tensor<T> row = zeros<T>(pool_row(window));
    const Tensor<I> row_at = follow ? zeros<I>(pool_row(window)) : Tensor<I>();
    T* const buffer = row.mutable_data();
    I* const positions = follow ? row_at.mutable_data() : nullptr;
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const T* const from = x + plane * window.inputs();
      T* const to = y + plane * window.outputs();
      if (follow) {
        cpu::simd_dispatch<MaxPoolPlane<true>, T>(&window, from, padding, to,
                                                  at + plane * window.outputs(), buffer, positions);
      } else {
        cpu::simd_dispatch<MaxPoolPlane<false>, T>(&window, from, padding, to, at, buffer,
                                                   positions);
      }
    }
  });
}
template <class T>
void max_pool3d_backward_on_cpu(T* dx, const T* dy, const std::int32_t* at, std::int64_t planes,
                                const Window3d& window) {
  each_plane(planes, window, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const std::int64_t offset = plane * window.outputs();
      max_pool_backward(window, dy + offset, at + offset, dx + plane * window.inputs());
    }
  });
}

/// y and, unless `at` is null, where each maximum is in the padded volume of its plane; dx.
template <class T>
inline const Kernel<void(Queue&, T* y, std::int32_t* at, const T* x, std::int64_t planes,
                         const Window3d& window, T padding)>
    max_pool3d_forward{"max_pool3d_forward", max_pool3d_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const std::int32_t* at, std::int64_t planes,
                         const Window3d& window)>
    max_pool3d_backward{"max_pool3d_backward", max_pool3d_backward_on_cpu<T>};

/// The pool of volumes, also of those that were images or sequences.
template <class T>
Tensor<T> max_pool(const char* op, const Tensor<T>& x, const MaxPool3dOptions& options) {
  require_kernels(op, x, max_pool3d_forward<T>, max_pool3d_backward<T>);
  const Window3d window =
      pool_window(op, x.shape(), options.kernel, options.stride, options.padding);
  TANDEM_CHECK(options.padding_value == options.padding_value, op, "the padding value is NaN");
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<T> y(pooled_shape(x.shape(), window), x.device());
  const bool follow = autograd::needs_grad(x);
  const Tensor<std::int32_t> at =
      follow ? Tensor<std::int32_t>(y.shape(), x.device()) : Tensor<std::int32_t>();
  TANDEM_CHECK(!follow || padded_volume(window) < (std::int64_t{1} << 31) - 1, op,
               "a volume of 2^31 or more elements has no backward: ", x.shape());
  const std::int64_t planes = x.size(0) * x.size(1);
  max_pool3d_forward<T>(x.device(), y.mutable_device_data(),
                        follow ? at.mutable_device_data() : nullptr, xs.device_data(), planes,
                        window, static_cast<T>(options.padding_value));
  return autograd::record(
      op, y,
      [at = autograd::save(at), window, planes, shape = x.shape()](const Tensor<T>& dy,
                                                                   autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(shape, dy.device());
        max_pool3d_backward<T>(dy.device(), dx.mutable_device_data(), g.device_data(),
                               at.get().device_data(), planes, window);
        return std::tuple(dx);
      },
      x);
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> max_pool3d(const Tensor<T>& x,
                                                            const MaxPool3dOptions& options) {
  detail::require_defined("max_pool3d", "x", x);
  return detail::max_pool("max_pool3d", x, options);
}

TANDEM_NAMESPACE_END
