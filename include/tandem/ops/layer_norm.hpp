#pragma once
/// layer_norm — y = (x − μ)/√(σ² + ε) · γ + β over the last axis.      [Ba et al. 2016, eq. 4]
///   dx = s·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  x̂ = (x − μ)·s,  s = 1/√(σ² + ε)
///   dγ = Σ rows of dy·x̂;   dβ = Σ rows of dy
///   x (…, n), γ (n), β (n) → (…, n); γ and β may be undefined (1 and 0).
///   Saves x, γ and, per row, μ and s.  μ first, then σ² around it: no cancellation.
///   dγ and dβ are added up in blocks of 128 rows: same bits for any thread count.
///
///   Tensor<float> y = layer_norm(x, weight, bias);
///
/// Errors: γ or β not of shape (n), ε not positive.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/simd.hpp"
#include "tandem/ops/column_sums.hpp"
#include "tandem/ops/dim_split.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// `rows` rows of length n; stats receives μ and s of each.
struct LayerNormForward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t n, const T* x, const T* gamma,
                                       const T* beta, T eps, T* y, T* stats) {
    for (std::int64_t r = 0; r < rows; ++r, x += n, y += n, stats += 2) {
      const T mean = cpu::row_sum<V>(x, n) / static_cast<T>(n);
      const T variance = cpu::row_sum_squares_around<V>(x, mean, n) / static_cast<T>(n);
      const T scale = T(1) / static_cast<T>(__builtin_sqrt(static_cast<double>(variance + eps)));
      const V centre(mean), s(scale);
      cpu::vec_map<V>(
          n, y,
          [&](V xi, V g, V b) TANDEM_INLINE_LAMBDA { return cpu::fma((xi - centre) * s, g, b); }, x,
          gamma, beta);
      stats[0] = mean;
      stats[1] = scale;
    }
  }
};

/// A block of rows: dx (unless null) and, added to zeros, this block's part of dγ and dβ (unless null).
struct LayerNormBackward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t n, const T* x, const T* dy,
                                       const T* gamma, const T* stats, T* dx, T* dgamma, T* dbeta) {
    constexpr std::int64_t N = V::size;
    for (std::int64_t r = 0; r < rows; ++r, x += n, dy += n, stats += 2) {
      const V centre(stats[0]), s(stats[1]);
      V g_sum0(T(0)), g_sum1(T(0)), gx_sum0(T(0)), gx_sum1(T(0));
      const auto add = [&](std::int64_t i, V xi, V d, V weight, V& g_sum, V& gx_sum)
                           TANDEM_INLINE_LAMBDA {
        const V unit = (xi - centre) * s, g = d * weight;
        g_sum += g;
        gx_sum = cpu::fma(g, unit, gx_sum);
        if (dgamma == nullptr) return;
        if (const std::int64_t count = n - i; count >= N) {
          cpu::fma(d, unit, V::load(dgamma + i)).store(dgamma + i);
          (V::load(dbeta + i) + d).store(dbeta + i);
        } else {
          cpu::fma(d, unit, V::load_partial(dgamma + i, count)).store_partial(dgamma + i, count);
          (V::load_partial(dbeta + i, count) + d).store_partial(dbeta + i, count);
        }
      };
      std::int64_t i = 0;
      for (; i + 2 * N <= n; i += 2 * N) {
        const std::int64_t j = i + N;
        add(i, V::load(x + i), V::load(dy + i), V::load(gamma + i), g_sum0, gx_sum0);
        add(j, V::load(x + j), V::load(dy + j), V::load(gamma + j), g_sum1, gx_sum1);
      }
      for (; i < n; i += N) {
        const std::int64_t count = n - i < N ? n - i : N;
        add(i, V::load_partial(x + i, count), V::load_partial(dy + i, count),
            V::load_partial(gamma + i, count), g_sum0, gx_sum0);
      }
      if (dx == nullptr) continue;
      const V g_mean(cpu::reduce_sum(g_sum0 + g_sum1) / static_cast<T>(n));
      const V gx_mean(cpu::reduce_sum(gx_sum0 + gx_sum1) / static_cast<T>(n));
      cpu::vec_map<V>(
          n, dx,
          [&](V xi, V d, V weight) TANDEM_INLINE_LAMBDA {
            const V unit = (xi - centre) * s;
            return (cpu::fma(d, weight, -g_mean) - unit * gx_mean) * s;
          },
          x, dy, gamma);
      dx += n;
    }
  }
};

/// The same on a device, by kernels/layer_norm.cu.
template <FloatingElement T>
Tensor<T> layer_norm_on_device(const char* op, const Tensor<T>& x, const Tensor<T>& gamma,
                               const Tensor<T>& beta, std::int64_t rows, std::int64_t n, T eps) {
  const auto forward = cuda::require(op, cuda::kernels<T>().layer_norm, x);
  const auto backward = cuda::require(op, cuda::kernels<T>().layer_norm_backward, x);
  const Device device = x.device();
  const auto dense = [](const Tensor<T>& t) { return t.defined() ? t.detach().contiguous() : t; };
  const auto pointer = [](const Tensor<T>& t) { return t.defined() ? t.device_data() : nullptr; };
  const Tensor<T> xs = dense(x), gs = dense(gamma), bs = dense(beta);
  const Tensor<T> y(x.shape(), device), mean({rows}, device), inverse({rows}, device);
  forward(cuda::stream_of(device), y.mutable_device_data(), mean.mutable_device_data(),
          inverse.mutable_device_data(), xs.device_data(), pointer(gs), pointer(bs), rows, n, eps);
  return autograd::record(
      op, y,
      [xs = autograd::save(xs), gs = autograd::save(gs), mean = autograd::save(mean),
       inverse = autograd::save(inverse), rows, n, device, pointer,
       backward](const Tensor<T>& dy, autograd::Needs need) {
        const Tensor<T> g = dy.contiguous();
        Tensor<T> dx, dgamma, dbeta;
        if (need[0]) dx = Tensor<T>(dy.shape(), device);
        if (need[1] || need[2]) {
          dgamma = Tensor<T>({n}, device);
          dbeta = Tensor<T>({n}, device);
        }
        const auto target = [](const Tensor<T>& t) {
          return t.defined() ? t.mutable_device_data() : nullptr;
        };
        backward(cuda::stream_of(device), target(dx), target(dgamma), target(dbeta),
                 g.device_data(), xs.get().device_data(), mean.get().device_data(),
                 inverse.get().device_data(), pointer(gs.get()), rows, n);
        return std::tuple(dx, dgamma, dbeta);
      },
      x, gamma, beta);
}

}  // namespace detail

template <FloatingElement T>
  requires(!std::is_same_v<T, bfloat16>)
Tensor<T> layer_norm(const Tensor<T>& x, const Tensor<T>& gamma = {}, const Tensor<T>& beta = {},
                     double eps = 1e-5) {
  const char* const op = "layer_norm";
  detail::require_defined(op, "x", x);
  detail::require_given_or_none(op, "gamma", gamma, "beta", beta);
  detail::require_same_device(op, x, gamma, beta);
  TANDEM_CHECK(x.rank() >= 1, op, "a scalar has no axis to normalise");
  TANDEM_CHECK(static_cast<T>(eps) > 0, op, "eps must be positive, it is ", eps);
  const std::int64_t n = x.shape().back(), rows = n > 0 ? x.numel() / n : 0;
  for (const Tensor<T>& p : {gamma, beta}) {
    TANDEM_CHECK(!p.defined() || p.shape() == Shape{n}, op, "scale and shift must have shape (", n,
                 ",), one has ", p.defined() ? p.shape() : Shape());
  }
  if (x.device().is_cuda()) {
    return detail::layer_norm_on_device(op, x, gamma, beta, rows, n, static_cast<T>(eps));
  }
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<T> gs = gamma.defined() ? gamma.detach().contiguous() : ones<T>({n});
  const Tensor<T> bs = beta.defined() ? beta.detach().contiguous() : zeros<T>({n});
  const Tensor<T> y(x.shape()), stats({rows, 2});
  const T *px = xs.data(), *pg = gs.data(), *pb = bs.data();
  T *py = y.mutable_data(), *ps = stats.mutable_data();
  cpu::parallel_for(rows, detail::grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    cpu::simd_dispatch<detail::LayerNormForward, T>(end - begin, n, px + begin * n, pg, pb,
                                                    static_cast<T>(eps), py + begin * n,
                                                    ps + begin * 2);
  });
  return autograd::record(
      op, y,
      [xs = autograd::save(xs), gs = autograd::save(gs), stats = autograd::save(stats), rows, n](
          const Tensor<T>& dy, autograd::Needs need) {
        constexpr std::int64_t block = 128;
        const bool learns = need[1] || need[2];  // a frozen layer's γ and β cost nothing
        const std::int64_t blocks = learns ? cpu::num_chunks(rows, block) : 0;
        const Tensor<T> g = dy.contiguous(), parts = zeros<T>({blocks, 2 * n});
        Tensor<T> dx;
        if (need[0]) dx = Tensor<T>(dy.shape());
        const T *in = xs.get().data(), *pdy = g.data(), *scale = gs.get().data(),
                *saved = stats.get().data();
        T *out = need[0] ? dx.mutable_data() : nullptr, *part = parts.mutable_data();
        cpu::parallel_chunks(rows, block, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
          T* sums = learns ? part + i * 2 * n : nullptr;
          cpu::simd_dispatch<detail::LayerNormBackward, T>(
              end - begin, n, in + begin * n, pdy + begin * n, scale, saved + begin * 2,
              out != nullptr ? out + begin * n : nullptr, sums, learns ? sums + n : nullptr);
        });
        if (!learns) return std::tuple(dx, Tensor<T>(), Tensor<T>());
        const Tensor<T> sums = detail::column_sums(parts.data(), blocks, 2 * n);
        return std::tuple(dx, sums.slice(0, 0, n), sums.slice(0, n, 2 * n));
      },
      x, gamma, beta);
}

TANDEM_NAMESPACE_END
