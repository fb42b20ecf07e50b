#pragma once
/// layer_norm — y = (x − μ)/√(σ² + ε) · γ + β over the last axis.      [Ba et al. 2016, eq. 4]
///   dx = s·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  x̂ = (x − μ)·s,  s = 1/√(σ² + ε)
///   dγ = Σ rows of dy·x̂;   dβ = Σ rows of dy
///   x (…, n), γ (n), β (n) → (…, n); γ and β may be undefined (1 and 0).
///   Saves x, γ and, per row, μ and s.  μ first, then σ² around it: no cancellation.
///   dγ and dβ are added up in blocks of 128 rows: same bits for any thread count.
///
///   const auto x = tensor<float>({{1, 3}, {0, 100}});
///   layer_norm(x, tensor<float>({1, 1}), tensor<float>({0, 10}));   // → [[-1., 11.], [-1., 11.]]
///
/// Deviations whose squares overflow T, for float from 1.8e19 on, make x̂ 0, as in PyTorch.
/// Errors: γ or β not of shape (n), ε not positive.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/column_sums.hpp"
#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/simd.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// `rows` rows of length n; stats receives μ and s of each.
struct LayerNormForward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t n, const T* x,
                                       const T* gamma, const T* beta, T eps, T* y, T* stats) {
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

/// A block of rows: dx (unless null) and, added to zeros, this block's part of dγ and dβ (unless
/// null).
struct LayerNormBackward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t n, const T* x, const T* dy,
                                       const T* gamma, const T* stats, T* dx, T* dgamma, T* dbeta) {
    constexpr std::int64_t N = V::size;
    for (std::int64_t r = 0; r < rows; ++r, x += n, dy += n, stats += 2) {
      const V centre(stats[0]), s(stats[1]);
      V g_sum0(T(0)), g_sum1(T(0)), gx_sum0(T(0)), gx_sum1(T(0));
      const auto add = [&](std::int64_t i, V xi, V d, V weight, V& g_sum,
                           V& gx_sum) TANDEM_INLINE_LAMBDA {
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

template <class T>
void layer_norm_on_cpu(T* y, T* stats, const T* x, const T* gamma, const T* beta, std::int64_t rows,
                       std::int64_t n, T eps) {
  const Tensor<T> one = gamma == nullptr ? ones<T>({n}) : Tensor<T>(),
                  zero = beta == nullptr ? zeros<T>({n}) : Tensor<T>();
  if (gamma == nullptr) gamma = one.data();
  if (beta == nullptr) beta = zero.data();
  cpu::parallel_for(rows, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    cpu::simd_dispatch<LayerNormForward, T>(end - begin, n, x + begin * n, gamma, beta, eps,
                                            y + begin * n, stats + begin * 2);
  });
}

template <class T>
void layer_norm_backward_on_cpu(T* dx, T* dgamma_dbeta, const T* dy, const T* x, const T* stats,
                                const T* gamma, std::int64_t rows, std::int64_t n) {
  constexpr std::int64_t block = 128;
  const bool learns = dgamma_dbeta != nullptr;
  const std::int64_t blocks = learns ? cpu::num_chunks(rows, block) : 0;
  const Tensor<T> parts = zeros<T>({blocks, 2 * n}),
                  one = gamma == nullptr ? ones<T>({n}) : Tensor<T>();
  if (gamma == nullptr) gamma = one.data();
  T* part = parts.mutable_data();
  cpu::parallel_chunks(rows, block, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    T* sums = learns ? part + i * 2 * n : nullptr;
    cpu::simd_dispatch<LayerNormBackward, T>(
        end - begin, n, x + begin * n, dy + begin * n, gamma, stats + begin * 2,
        dx != nullptr ? dx + begin * n : nullptr, sums, learns ? sums + n : nullptr);
  });
  if (learns) column_sums_on_cpu(dgamma_dbeta, parts.data(), blocks, 2 * n);
}

/// y, and in `stats` the μ and s of each of `rows` rows of n; gamma and beta may be null (1 and 0).
template <class T>
inline const Kernel<void(Queue&, T* y, T* stats, const T* x, const T* gamma, const T* beta,
                         std::int64_t rows, std::int64_t n, T eps)>
    layer_norm_forward{"layer_norm_forward", layer_norm_on_cpu<T>};
/// dx and, in one array of 2n, dγ and dβ; either may be null, as gamma.
template <class T>
inline const Kernel<void(Queue&, T* dx, T* dgamma_dbeta, const T* dy, const T* x, const T* stats,
                         const T* gamma, std::int64_t rows, std::int64_t n)>
    layer_norm_backward{"layer_norm_backward", layer_norm_backward_on_cpu<T>};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> layer_norm(const Tensor<T>& x,
                                                            const Tensor<T>& gamma = {},
                                                            const Tensor<T>& beta = {},
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
  detail::require_kernels(op, x, detail::layer_norm_forward<T>, detail::layer_norm_backward<T>);
  const Device device = x.device();
  const auto dense = [](const Tensor<T>& t) { return t.defined() ? t.detach().contiguous() : t; };
  const auto pointer = [](const Tensor<T>& t) { return t.defined() ? t.device_data() : nullptr; };
  const Tensor<T> xs = dense(x), gs = dense(gamma), bs = dense(beta), y(x.shape(), device),
                  stats({rows, 2}, device);
  detail::layer_norm_forward<T>(device, y.mutable_device_data(), stats.mutable_device_data(),
                                xs.device_data(), pointer(gs), pointer(bs), rows, n,
                                static_cast<T>(eps));
  return autograd::record(
      op, y,
      [xs = autograd::save(xs), gs = autograd::save(gs), stats = autograd::save(stats), rows, n,
       pointer](const Tensor<T>& dy, autograd::Needs need) {
        const bool learns = need[1] || need[2];  // a frozen layer's γ and β cost nothing
        const Tensor<T> g = dy.contiguous(),
                        dx = need[0] ? Tensor<T>(dy.shape(), dy.device()) : Tensor<T>(),
                        sums = learns ? Tensor<T>({2, n}, dy.device()) : Tensor<T>();
        const auto target = [](const Tensor<T>& t) {
          return t.defined() ? t.mutable_device_data() : nullptr;
        };
        detail::layer_norm_backward<T>(dy.device(), target(dx), target(sums), g.device_data(),
                                       xs.get().device_data(), stats.get().device_data(),
                                       pointer(gs.get()), rows, n);
        if (!learns) return std::tuple(dx, Tensor<T>(), Tensor<T>());
        return std::tuple(dx, sums.select(0, 0), sums.select(0, 1));
      },
      x, gamma, beta);
}

TANDEM_NAMESPACE_END
