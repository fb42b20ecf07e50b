#pragma once
/// batch_norm — y = (x − μ)/√(σ² + ε) · γ + β per channel.    [Ioffe & Szegedy 2015, algorithm 1]
///   training: μ and σ² are the batch's;  with x̂ = (x − μ)·s, s = 1/√(σ² + ε), means over the
///   channel:
///     dx = γ·s·(dy − mean(dy) − x̂·mean(dy·x̂));   dγ = Σ dy·x̂;   dβ = Σ dy
///     running mean ← (1 − m)·running mean + m·μ,  running variance likewise with Σ(x − μ)²/(n − 1)
///   otherwise: μ and σ² are the running ones, constants;  dx = γ·s·dy
///   x (N, C, …), γ, β, running mean and variance (C) → the shape of x; γ and β may be undefined (1
///   and 0), the running ones too in training.  n: the elements of a channel.
///   Saves x, γ and, per channel, μ and s.  μ first, then σ² around it: no cancellation.
///
///   const auto x = tensor<float>({{1, 10}, {3, 20}});            // 2 samples, 2 channels
///   Tensor<float> mean = zeros<float>({2}), variance = ones<float>({2});
///   batch_norm(x, {}, {}, mean, variance, {.training = true});   // → [[-1., -1.], [1., 1.]]
///   mean;                                                        // → [0.2, 1.5]
///
/// The running tensors are changed in place; whatever is wrong is found before. Deviations whose
/// squares overflow T make y 0, as in PyTorch. Errors: shapes, ε not positive, training on one
/// element per channel, no running tensors outside training, running tensors that are read-only,
/// expanded or one tensor.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/channel_sums.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// How batch_norm normalizes.
struct BatchNormOptions {
  bool training = false;  ///< by the batch's statistics, which the running ones follow
  double momentum = 0.1;  ///< m, the weight of the batch in the running statistics
  double epsilon = 1e-5;  ///< ε
};

namespace detail {

/// Over a row, in blocks added up in double.  z null: product += Σ (x − centre)²;
/// else sum += Σ x and product += Σ x·(z − centre).
struct BatchNormSums {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(const T* x, const T* z, T centre, std::int64_t n,
                                       double* sum, double* product) {
    constexpr std::int64_t block = 1024;
    for (std::int64_t i = 0; i < n; i += block) {
      const std::int64_t count = n - i < block ? n - i : block;
      if (z == nullptr) {
        *product += static_cast<double>(cpu::row_sum_squares_around<V>(x + i, centre, count));
        continue;
      }
      *sum += static_cast<double>(cpu::row_sum<V>(x + i, count));
      *product += static_cast<double>(cpu::vec_sum<V>(
          count, [c = V(centre)](V a, V b) TANDEM_INLINE_LAMBDA { return a * (b - c); }, x + i,
          z + i));
    }
  }
};

/// Over a row.  z null: y = (x − centre)·scale + shift;  else y = x·scale + (z − centre)·slope +
/// shift.
struct BatchNormRow {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(const T* x, const T* z, T centre, T scale, T slope, T shift,
                                       std::int64_t n, T* y) {
    const V c(centre), s(scale), up(shift);
    if (z == nullptr) {
      cpu::vec_map<V>(
          n, y, [=](V a) TANDEM_INLINE_LAMBDA { return cpu::fma(a - c, s, up); }, x);
    } else {
      cpu::vec_map<V>(
          n, y,
          [=, k = V(slope)](V a, V b)
              TANDEM_INLINE_LAMBDA { return cpu::fma(b - c, k, cpu::fma(a, s, up)); },
          x, z);
    }
  }
};

/// Calls f(c) for every channel, which is one thread's.
template <class F>
void each_channel(const DimSplit& s, F f) {
  cpu::parallel_for(s.n, grain_for(s.outer * s.inner), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) f(c);
  });
}

/// stats (2, C): μ and s, which outside training come as the running mean and variance.
template <class T>
void batch_norm_on_cpu(T* y, T* stats, T* variance, const T* x, const T* gamma, const T* beta,
                       std::int64_t outer, std::int64_t channels, std::int64_t inner,
                       double epsilon, bool training) {
  const DimSplit s{outer, channels, inner};
  const std::int64_t n = outer * inner;
  T *mean = stats, *inverse = stats + channels;
  each_channel(s, [=](std::int64_t c) {
    double squares = 0, sum = 0;
    if (training && n > 0) {
      for (std::int64_t i = 0; i < outer; ++i) {
        sum += cpu::simd_dispatch<cpu::detail::SumDense, T>(x + (i * channels + c) * inner, inner);
      }
      mean[c] = static_cast<T>(sum / static_cast<double>(n));
      for (std::int64_t i = 0; i < outer; ++i) {
        cpu::simd_dispatch<BatchNormSums, T>(x + (i * channels + c) * inner,
                                             static_cast<const T*>(nullptr), mean[c], inner, &sum,
                                             &squares);
      }
      variance[c] = static_cast<T>(squares / static_cast<double>(n - 1));
    }
    const double spread =
        training ? squares / static_cast<double>(n) : static_cast<double>(inverse[c]);
    const double unit = 1 / __builtin_sqrt(spread + epsilon);
    inverse[c] = static_cast<T>(unit);
    const T scale =
        gamma != nullptr ? static_cast<T>(unit * static_cast<double>(gamma[c])) : inverse[c];
    const T shift = beta != nullptr ? beta[c] : T(0);
    for (std::int64_t i = 0; i < outer; ++i) {
      const std::int64_t row = (i * channels + c) * inner;
      cpu::simd_dispatch<BatchNormRow, T>(x + row, static_cast<const T*>(nullptr), mean[c], scale,
                                          T(0), shift, inner, y + row);
    }
  });
}
/// dx, unless it is null, dγ and dβ from μ and s. `constant`: these do not depend on x.
template <class T>
void batch_norm_backward_on_cpu(T* dx, T* dgamma, T* dbeta, const T* dy, const T* x, const T* gamma,
                                const T* stats, std::int64_t outer, std::int64_t channels,
                                std::int64_t inner, bool constant) {
  const DimSplit s{outer, channels, inner};
  const T *mean = stats, *inverse = stats + channels;
  const double n = static_cast<double>(outer * inner);
  each_channel(s, [=](std::int64_t c) {
    double sum = 0, product = 0;  // Σ dy, Σ dy·(x − μ)
    for (std::int64_t i = 0; i < outer; ++i) {
      const std::int64_t row = (i * channels + c) * inner;
      cpu::simd_dispatch<BatchNormSums, T>(dy + row, x + row, mean[c], inner, &sum, &product);
    }
    const double unit = static_cast<double>(inverse[c]);
    dgamma[c] = static_cast<T>(product * unit);
    dbeta[c] = static_cast<T>(sum);
    if (dx == nullptr) return;
    const double first = unit * (gamma != nullptr ? static_cast<double>(gamma[c]) : 1.0);
    const double slope = constant ? 0 : -first * (product * unit / n) * unit;
    const double shift = constant ? 0 : -first * (sum / n);
    for (std::int64_t i = 0; i < outer; ++i) {
      const std::int64_t row = (i * channels + c) * inner;
      cpu::simd_dispatch<BatchNormRow, T>(
          dy + row, constant ? nullptr : x + row, constant ? T(0) : mean[c], static_cast<T>(first),
          static_cast<T>(slope), static_cast<T>(shift), inner, dx + row);
    }
  });
}
template <class T>
void batch_norm_follow_on_cpu(T* next, const T* running, const T* now, std::int64_t n,
                              double momentum) {
  for (std::int64_t c = 0; c < n; ++c) {
    next[c] = static_cast<T>((1 - momentum) * static_cast<double>(running[c]) +
                             momentum * static_cast<double>(now[c]));
  }
}

/// y, μ and s (in training, with the unbiased variance) of x (outer, channels, inner).
template <class T>
inline const Kernel<void(Queue&, T* y, T* stats, T* variance, const T* x, const T* gamma,
                         const T* beta, std::int64_t outer, std::int64_t channels,
                         std::int64_t inner, double epsilon, bool training)>
    batch_norm_forward{"batch_norm_forward", batch_norm_on_cpu<T>};
template <class T>
inline const Kernel<void(Queue&, T* dx, T* dgamma, T* dbeta, const T* dy, const T* x,
                         const T* gamma, const T* stats, std::int64_t outer, std::int64_t channels,
                         std::int64_t inner, bool constant)>
    batch_norm_backward{"batch_norm_backward", batch_norm_backward_on_cpu<T>};
/// next = (1 − m)·running + m·now.
template <class T>
inline const Kernel<void(Queue&, T* next, const T* running, const T* now, std::int64_t n,
                         double momentum)>
    batch_norm_follow{"batch_norm_follow", batch_norm_follow_on_cpu<T>};

}  // namespace detail

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> batch_norm(const Tensor<T>& x,
                                                            const Tensor<T>& gamma,
                                                            const Tensor<T>& beta,
                                                            const Tensor<T>& running_mean,
                                                            const Tensor<T>& running_variance,
                                                            const BatchNormOptions& options = {}) {
  const char* const op = "batch_norm";
  detail::require_defined(op, "x", x);
  detail::require_given_or_none(op, "gamma", gamma, "beta", beta, "running_mean", running_mean,
                                "running_variance", running_variance);
  detail::require_same_device(op, x, gamma, beta, running_mean, running_variance);
  detail::require_kernels(op, x, detail::batch_norm_forward<T>, detail::batch_norm_backward<T>,
                          detail::batch_norm_follow<T>);
  TANDEM_CHECK(x.rank() >= 2, op, "expected x of shape (N, C, …), got ", x.shape());
  TANDEM_CHECK(static_cast<T>(options.epsilon) > 0, op, "epsilon must be positive, it is ",
               options.epsilon);
  TANDEM_CHECK(options.momentum >= 0 && options.momentum <= 1, op,
               "the momentum must be from 0 to 1, it is ", options.momentum);
  const bool training = options.training;
  const detail::DimSplit s = detail::split_at(x.shape(), 1);
  for (const Tensor<T>& p : {gamma, beta, running_mean, running_variance}) {
    TANDEM_CHECK(!p.defined() || p.shape() == Shape{s.n}, op,
                 "scale, shift and running statistics must have shape (", s.n, ",), one has ",
                 p.defined() ? p.shape() : Shape());
  }
  TANDEM_CHECK(running_mean.defined() == running_variance.defined(), op,
               "the running mean and variance come together, one of them is missing");
  TANDEM_CHECK(training || running_mean.defined(), op, "needs running statistics outside training");
  TANDEM_CHECK(!running_mean.defined() || !autograd::needs_grad(running_mean, running_variance), op,
               "running statistics have no gradient, but one of them collects one");
  if (training && running_mean.defined()) {
    // Both are changed: what can be wrong with either is found before the first.
    for (const Tensor<T>& running : {running_mean, running_variance}) {
      running.require_target(op, "a running statistic");
    }
    TANDEM_CHECK(running_mean.storage() != running_variance.storage() ||
                     running_mean.offset() != running_variance.offset() || s.n == 0,
                 op, "the running mean and variance are one tensor");
  }
  const std::int64_t n = s.outer * s.inner;
  TANDEM_CHECK(!training || n != 1, op, "training on one element per channel, x is ", x.shape());

  const Device device = x.device();
  const Tensor<T> xs = x.detach().contiguous(), y(x.shape(), device), stats({2, s.n}, device);
  const Tensor<T> gs = gamma.defined() ? gamma.detach().contiguous() : gamma;
  const Tensor<T> bs = beta.defined() ? beta.detach().contiguous() : beta;
  const auto data = [](const Tensor<T>& t) { return t.defined() ? t.device_data() : nullptr; };
  Tensor<T> variance;  // unbiased
  if (training) {
    variance = Tensor<T>({s.n}, device);
  } else {
    stats.select(0, 0).copy_elements(running_mean.detach());
    stats.select(0, 1).copy_elements(running_variance.detach());
  }
  detail::batch_norm_forward<T>(device, y.mutable_device_data(), stats.mutable_device_data(),
                                training ? variance.mutable_device_data() : nullptr,
                                xs.device_data(), data(gs), data(bs), s.outer, s.n, s.inner,
                                options.epsilon, training);
  if (training && n > 0 && running_mean.defined()) {
    const auto follow = [&](const Tensor<T>& running, const T* now) {
      const Tensor<T> old = running.detach().contiguous(), next({s.n}, device);
      detail::batch_norm_follow<T>(device, next.mutable_device_data(), old.device_data(), now, s.n,
                                   options.momentum);
      running.copy_elements(next);
    };
    follow(running_mean, stats.device_data());
    follow(running_variance, variance.device_data());
  }
  return autograd::record(
      op, y,
      [s, xs = autograd::save(xs), gs = autograd::save(gs), stats = autograd::save(stats),
       training](const Tensor<T>& dy, autograd::Needs need) {
        const Tensor<T> g = dy.contiguous(), dgamma({s.n}, g.device()), dbeta({s.n}, g.device());
        const Tensor<T> dx = need[0] ? Tensor<T>(dy.shape(), g.device()) : Tensor<T>();
        const Tensor<T>& scale = gs.get();
        detail::batch_norm_backward<T>(g.device(), need[0] ? dx.mutable_device_data() : nullptr,
                                       dgamma.mutable_device_data(), dbeta.mutable_device_data(),
                                       g.device_data(), xs.get().device_data(),
                                       scale.defined() ? scale.device_data() : nullptr,
                                       stats.get().device_data(), s.outer, s.n, s.inner, !training);
        return std::tuple(dx, dgamma, dbeta);
      },
      x, gamma, beta);
}

TANDEM_NAMESPACE_END
