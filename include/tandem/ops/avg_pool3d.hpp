#pragma once
/// avg_pool3d — y[n, c, p] = (Σ over the window at p of x[n, c, ·]) / m.
///   dx[n, c, q] = Σ dy/m over the windows that contain q
///   m: the taps of the kernel, padding counted (PyTorch's default), or only those inside x.
///   x (N, C, D, H, W) → (N, C, D', H', W'), sizes in window3d.hpp.  Saves sizes only.
///
///   const auto x = ones<float>({1, 3, 4, 7, 7});
///   avg_pool3d(x, {.kernel = {2, 7, 7}, .stride = Triple::all(1)});   // → (1, 3, 3, 1, 1)
///   AvgPool3dOptions same{.kernel = Triple::all(3), .padding = Padding3d::same()};
///   same.count_padding = false;                                       // as TensorFlow
///   min(avg_pool3d(x, same));                                         // → 1.
///
/// A row of the result is summed over depth and height for every column, then over width; the
/// backward goes the other way. Errors: a kernel that does not fit, padding not below the kernel.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/pool3d_rows.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// The window of avg_pool3d.
struct AvgPool3dOptions {
  Triple kernel;                   ///< its size
  Triple stride = Triple::all(0);  ///< all 0: the kernel
  Padding3d padding = {};          ///< none, margins per axis, or Padding3d::same()
  bool count_padding = true;  ///< false: divide by the taps that are inside x, as TensorFlow does
};

namespace detail {

/// 1/m for output (od, oh) of width ow.
template <class T>
T avg_pool_scale(const Window3d& window, const TapRange& d, const TapRange& h, std::int64_t ow,
                 bool count_padding) {
  const auto length = [](std::int64_t n) { return static_cast<double>(n); };
  if (count_padding) {
    return static_cast<T>(
        1 / (length(window[0].kernel) * length(window[1].kernel) * length(window[2].kernel)));
  }
  const TapRange w(window[2], ow);
  return static_cast<T>(
      1 / (length(d.last - d.first) * length(h.last - h.first) * length(w.last - w.first)));
}

/// One plane forward; `row` is a buffer for a row of x, one sum per column.
struct AvgPoolPlane {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(const Window3d* window, bool count_padding, const T* x, T* y,
                                       T* row) {
    const WindowAxis &d = (*window)[0], &h = (*window)[1], &w = (*window)[2];
    for (std::int64_t od = 0; od < d.out; ++od) {
      const TapRange td(d, od);
      for (std::int64_t oh = 0; oh < h.out; ++oh, y += w.out) {
        const TapRange th(h, oh);
        for (std::int64_t i = 0; i < w.in; ++i) row[i] = T(0);
        for (std::int64_t kd = td.first; kd < td.last; ++kd) {
          for (std::int64_t kh = th.first; kh < th.last; ++kh) {
            const T* from = x + ((td.start + kd) * h.in + th.start + kh) * w.in;
            cpu::vec_map<V>(
                w.in, row, [](V a, V b) TANDEM_INLINE_LAMBDA { return a + b; },
                static_cast<const T*>(row), from);
          }
        }
        for (std::int64_t ow = 0; ow < w.out; ++ow) {
          const TapRange tw(w, ow);
          T sum(0);
          for (std::int64_t k = tw.first; k < tw.last; ++k) sum += row[tw.start + k];
          y[ow] = sum * avg_pool_scale<T>(*window, td, th, ow, count_padding);
        }
      }
    }
  }
};

/// One plane backward; `row` is a buffer for a row of x.
struct AvgPoolBackward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(const Window3d* window, bool count_padding, const T* dy,
                                       T* dx, T* row) {
    const WindowAxis &d = (*window)[0], &h = (*window)[1], &w = (*window)[2];
    for (std::int64_t i = 0; i < window->inputs(); ++i) dx[i] = T(0);
    for (std::int64_t od = 0; od < d.out; ++od) {
      const TapRange td(d, od);
      for (std::int64_t oh = 0; oh < h.out; ++oh, dy += w.out) {
        const TapRange th(h, oh);
        for (std::int64_t i = 0; i < w.in; ++i) row[i] = T(0);
        for (std::int64_t ow = 0; ow < w.out; ++ow) {
          const TapRange tw(w, ow);
          const T g = dy[ow] * avg_pool_scale<T>(*window, td, th, ow, count_padding);
          for (std::int64_t k = tw.first; k < tw.last; ++k) row[tw.start + k] += g;
        }
        for (std::int64_t kd = td.first; kd < td.last; ++kd) {
          for (std::int64_t kh = th.first; kh < th.last; ++kh) {
            T* to = dx + ((td.start + kd) * h.in + th.start + kh) * w.in;
            cpu::vec_map<V>(
                w.in, to, [](V a, V b) TANDEM_INLINE_LAMBDA { return a + b; },
                static_cast<const T*>(to), static_cast<const T*>(row));
          }
        }
      }
    }
  }
};

template <class T>
void avg_pool3d_on_cpu(T* y, const T* x, std::int64_t planes, const Window3d& window,
                       bool count_padding) {
  each_plane(planes, window, [&](std::int64_t begin, std::int64_t end) {
    const Tensor<T> row({window[2].in});
    T* const buffer = row.mutable_data();
    for (std::int64_t plane = begin; plane < end; ++plane) {
      cpu::simd_dispatch<AvgPoolPlane, T>(&window, count_padding, x + plane * window.inputs(),
                                          y + plane * window.outputs(), buffer);
    }
  });
}
template <class T>
void avg_pool3d_backward_on_cpu(T* dx, const T* dy, std::int64_t planes, const Window3d& window,
                                bool count_padding) {
  each_plane(planes, window, [&](std::int64_t begin, std::int64_t end) {
    const Tensor<T> row({window[2].in});
    T* const buffer = row.mutable_data();
    for (std::int64_t plane = begin; plane < end; ++plane) {
      cpu::simd_dispatch<AvgPoolBackward, T>(&window, count_padding, dy + plane * window.outputs(),
                                             dx + plane * window.inputs(), buffer);
    }
  });
}

/// y and dx, plane by plane.
template <class T>
inline const Kernel<void(Queue&, T* y, const T* x, std::int64_t planes, const Window3d& window,
                         bool count_padding)>
    avg_pool3d_forward{"avg_pool3d_forward", avg_pool3d_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, std::int64_t planes, const Window3d& window,
                         bool count_padding)>
    avg_pool3d_backward{"avg_pool3d_backward", avg_pool3d_backward_on_cpu<T>};

/// The pool of volumes, also of those that were images or sequences.
template <class T>
Tensor<T> avg_pool(const char* op, const Tensor<T>& x, const AvgPool3dOptions& options) {
  require_kernels(op, x, avg_pool3d_forward<T>, avg_pool3d_backward<T>);
  const Window3d window =
      pool_window(op, x.shape(), options.kernel, options.stride, options.padding);
  const bool count_padding = options.count_padding;
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<T> y(pooled_shape(x.shape(), window), x.device());
  const std::int64_t planes = x.size(0) * x.size(1);
  avg_pool3d_forward<T>(x.device(), y.mutable_device_data(), xs.device_data(), planes, window,
                        count_padding);
  return autograd::record(
      op, y,
      [window, count_padding, planes, shape = x.shape()](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(shape, dy.device());
        avg_pool3d_backward<T>(dy.device(), dx.mutable_device_data(), g.device_data(), planes,
                               window, count_padding);
        return std::tuple(dx);
      },
      x);
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> avg_pool3d(const Tensor<T>& x,
                                                            const AvgPool3dOptions& options) {
  detail::require_defined("avg_pool3d", "x", x);
  return detail::avg_pool("avg_pool3d", x, options);
}

TANDEM_NAMESPACE_END
