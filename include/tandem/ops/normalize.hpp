#pragma once
/// normalize — y = x / max(‖x‖₂, ε) along one dimension (L2).
///   dx = (dy − y·(y·dy)) / ‖x‖  where ‖x‖ > ε,   dy / ε  elsewhere
///   x (…, n, …) → same shape.  Saves y and max(‖x‖, ε) per row (negative where ε won).
///   The norm is exact to rounding for every magnitude: when Σx² leaves the range of T the row is
///   scaled by its largest |x| first. A NaN in a row makes all of it NaN.
///
///   normalize(tensor<float>({{3, 4}, {0, 0}}));   // → [[0.6, 0.8], [0., 0.]]
///
/// Errors: ε not positive.

#include <cstdint>
#include <limits>
#include <tuple>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Σ a·b over n elements, eight sums wide (a fixed order that the compiler can vectorize).
template <class T>
T strided_dot(const T* a, const T* b, std::int64_t n, std::int64_t step) {
  T lanes[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int l = 0; l < 8; ++l) lanes[l] += a[(i + l) * step] * b[(i + l) * step];
  }
  for (; i < n; ++i) lanes[i % 8] += a[i * step] * b[i * step];
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

template <class T>
T l2_norm(const T* x, std::int64_t n, std::int64_t step) {
  const T sum = strided_dot(x, x, n, step);
  // Below 2⁴⁸·min the squares may have lost bits to underflow; above max they are infinite.
  constexpr T low = std::numeric_limits<T>::min() * T(281474976710656.0);
  if (sum >= low && sum <= std::numeric_limits<T>::max()) return T(__builtin_sqrt(sum));
  T largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const T magnitude = x[i * step] < 0 ? -x[i * step] : x[i * step];
    if (!(magnitude <= largest) && largest == largest) largest = magnitude;  // NaN stays
  }
  if (!(largest > 0) || largest > std::numeric_limits<T>::max()) return largest;
  T scaled = 0;
  for (std::int64_t i = 0; i < n; ++i) scaled += (x[i * step] / largest) * (x[i * step] / largest);
  return T(largest * T(__builtin_sqrt(scaled)));
}

/// Calls f(column, first) for every column of (outer, n, inner), on all threads; its elements lie
/// at first + i·inner.
template <class F>
void each_column(const DimSplit& s, const F& f) {
  cpu::parallel_for(s.outer * s.inner, grain_for(s.n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) f(c, c / s.inner * s.n * s.inner + c % s.inner);
  });
}

template <class T>
void normalize_on_cpu(T* y, T* norms, const T* x, std::int64_t outer, std::int64_t n,
                      std::int64_t inner, T eps) {
  each_column({outer, n, inner}, [=](std::int64_t column, std::int64_t at) {
    const T norm = l2_norm(x + at, n, inner);
    const bool small = norm <= eps;
    const T divisor = small ? eps : norm;
    norms[column] = small ? -eps : norm;
    for (std::int64_t i = 0; i < n; ++i) y[at + i * inner] = x[at + i * inner] / divisor;
  });
}
template <class T>
void normalize_backward_on_cpu(T* dx, const T* dy, const T* y, const T* norms, std::int64_t outer,
                               std::int64_t n, std::int64_t inner) {
  each_column({outer, n, inner}, [=](std::int64_t column, std::int64_t at) {
    const T norm = norms[column];
    const T along = norm > 0 ? strided_dot(y + at, dy + at, n, inner) : T(0);
    const T divisor = norm < 0 ? -norm : norm;
    for (std::int64_t i = at; i < at + n * inner; i += inner) {
      dx[i] = (dy[i] - y[i] * along) / divisor;
    }
  });
}

/// y along the middle dimension of (outer, n, inner), and max(‖x‖, ε) (outer, inner), −ε where ε
/// won.
template <class T>
inline const Kernel<void(Queue&, T* y, T* norms, const T* x, std::int64_t outer, std::int64_t n,
                         std::int64_t inner, T eps)>
    normalize_forward{"normalize_forward", normalize_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const T* y, const T* norms, std::int64_t outer,
                         std::int64_t n, std::int64_t inner)>
    normalize_backward{"normalize_backward", normalize_backward_on_cpu<T>};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> normalize(const Tensor<T>& x, Dim dim = -1,
                                                           double eps = 1e-12) {
  const char* const op = "normalize";
  detail::require_defined(op, "x", x);
  detail::require_kernels(op, x, detail::normalize_forward<T>, detail::normalize_backward<T>);
  TANDEM_CHECK(static_cast<T>(eps) > 0, op, "eps must be positive, it is ", eps);
  const detail::DimSplit s = detail::split_at(x.shape(), normalize_dim(op, dim, x.rank()));
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<T> y(x.shape(), x.device()), norms({s.outer * s.inner}, x.device());
  detail::normalize_forward<T>(x.device(), y.mutable_device_data(), norms.mutable_device_data(),
                               xs.device_data(), s.outer, s.n, s.inner, static_cast<T>(eps));
  return autograd::record(
      op, y,
      [s, y = autograd::save(y), norms = autograd::save(norms)](const Tensor<T>& dy,
                                                                autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(dy.shape(), dy.device());
        detail::normalize_backward<T>(dy.device(), dx.mutable_device_data(), g.device_data(),
                                      y.get().device_data(), norms.get().device_data(), s.outer,
                                      s.n, s.inner);
        return std::tuple(dx);
      },
      x);
}
TANDEM_FLOATS_ONLY(normalize)

TANDEM_NAMESPACE_END
