#pragma once
/// normalize — y = x / max(‖x‖₂, ε) along one dimension (L2).
///   dx = (dy − y·(y·dy)) / ‖x‖  where ‖x‖ > ε,   dy / ε  elsewhere
///   x (…, n, …) → same shape.  Saves y and max(‖x‖, ε) per row (negative where ε won).
///   The norm is exact to rounding for every magnitude: when Σx² leaves the range of T the row is
///   scaled by its largest |x| first.
///
///   Tensor<float> cosines = matmul(normalize(video), normalize(text).transpose(0, 1));
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
    if (!(magnitude <= largest)) largest = magnitude;  // NaN stays
  }
  if (!(largest > 0) || largest > std::numeric_limits<T>::max()) return largest;
  T scaled = 0;
  for (std::int64_t i = 0; i < n; ++i) scaled += (x[i * step] / largest) * (x[i * step] / largest);
  return T(largest * T(__builtin_sqrt(scaled)));
}

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> normalize(const Tensor<T>& x, Dim dim = -1,
                                                           double eps = 1e-12) {
  const char* const op = "normalize";
  detail::require_defined(op, "x", x);
  detail::require_cpu(op, x);
  TANDEM_CHECK(static_cast<T>(eps) > 0, op, "eps must be positive, it is ", eps);
  const detail::DimSplit s = detail::split_at(x.shape(), normalize_dim(op, dim, x.rank()));
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<T> y(x.shape()), norms({s.outer * s.inner});
  const T *px = xs.data(), floor = static_cast<T>(eps);
  T *py = y.mutable_data(), *pn = norms.mutable_data();
  const auto columns = [s](auto&& f) {
    cpu::parallel_for(s.outer * s.inner, detail::grain_for(s.n),
                      [&](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t c = begin; c < end; ++c)
                          f(c, c / s.inner * s.n * s.inner + c % s.inner);
                      });
  };
  columns([&](std::int64_t column, std::int64_t at) {
    const T norm = detail::l2_norm(px + at, s.n, s.inner);
    const bool small = norm <= floor;
    const T divisor = small ? floor : norm;
    pn[column] = small ? -floor : norm;
    for (std::int64_t i = 0; i < s.n; ++i) py[at + i * s.inner] = px[at + i * s.inner] / divisor;
  });
  return autograd::record(
      op, y,
      [s, columns, y = autograd::save(y), norms = autograd::save(norms)](const Tensor<T>& dy,
                                                                         autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(dy.shape());
        const T *unit = y.get().data(), *pg = g.data(), *saved = norms.get().data();
        T* to = dx.mutable_data();
        columns([&](std::int64_t column, std::int64_t at) {
          const T norm = saved[column];
          const T along = norm > 0 ? detail::strided_dot(unit + at, pg + at, s.n, s.inner) : T(0);
          const T divisor = norm < 0 ? -norm : norm;
          for (std::int64_t i = 0; i < s.n; ++i) {
            const std::int64_t e = at + i * s.inner;
            to[e] = (pg[e] - unit[e] * along) / divisor;
          }
        });
        return std::tuple(dx);
      },
      x);
}

TANDEM_NAMESPACE_END
