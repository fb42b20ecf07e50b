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
///   Tensor<float> y = batch_norm(x, weight, bias, mean, variance, {.training = true});
///
/// The running tensors are changed in place. Errors: shapes, ε not positive, training on one
/// element per channel, no running tensors outside training.

#include <cstdint>
#include <tuple>

#include "tandem/cpu/channel_sums.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

struct BatchNormOptions {
  bool training = false;
  double momentum = 0.1;
  double epsilon = 1e-5;
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

/// dx, dγ and dβ from stats (2, C): μ and s. `constant`: μ and σ² do not depend on x.
template <class T>
std::tuple<Tensor<T>, Tensor<T>, Tensor<T>> batch_norm_backward(const Tensor<T>& x,
                                                                const Tensor<T>& gamma,
                                                                const Tensor<T>& stats,
                                                                const Tensor<T>& dy, bool constant,
                                                                bool need_dx) {
  const DimSplit s = split_at(x.shape(), 1);
  const Tensor<T> g = dy.contiguous(), dgamma({s.n}), dbeta({s.n});
  const Tensor<T> dx = need_dx ? Tensor<T>(x.shape()) : Tensor<T>();
  const T *in = x.data(), *up = g.data(), *scale = gamma.defined() ? gamma.data() : nullptr;
  const T *mean = stats.data(), *inverse = mean + s.n;
  T *out = need_dx ? dx.mutable_data() : nullptr, *pg = dgamma.mutable_data(),
    *pb = dbeta.mutable_data();
  const double n = static_cast<double>(s.outer * s.inner);
  each_channel(s, [&](std::int64_t c) {
    double sum = 0, product = 0;  // Σ dy, Σ dy·(x − μ)
    for (std::int64_t i = 0; i < s.outer; ++i) {
      const std::int64_t row = (i * s.n + c) * s.inner;
      cpu::simd_dispatch<BatchNormSums, T>(up + row, in + row, mean[c], s.inner, &sum, &product);
    }
    const double unit = static_cast<double>(inverse[c]);
    pg[c] = static_cast<T>(product * unit);
    pb[c] = static_cast<T>(sum);
    if (out == nullptr) return;
    const double first = unit * (scale != nullptr ? static_cast<double>(scale[c]) : 1.0);
    const double slope = constant ? 0 : -first * (product * unit / n) * unit;
    const double shift = constant ? 0 : -first * (sum / n);
    for (std::int64_t i = 0; i < s.outer; ++i) {
      const std::int64_t row = (i * s.n + c) * s.inner;
      cpu::simd_dispatch<BatchNormRow, T>(
          up + row, constant ? nullptr : in + row, constant ? T(0) : mean[c], static_cast<T>(first),
          static_cast<T>(slope), static_cast<T>(shift), s.inner, out + row);
    }
  });
  return {dx, dgamma, dbeta};
}

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
  detail::require_cpu(op, x, gamma, beta, running_mean, running_variance);
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
  const std::int64_t n = s.outer * s.inner;
  TANDEM_CHECK(!training || n != 1, op, "training on one element per channel, x is ", x.shape());

  const Tensor<T> xs = x.detach().contiguous(), y(x.shape()), stats({2, s.n});
  const Tensor<T> gs = gamma.defined() ? gamma.detach().contiguous() : gamma;
  const Tensor<T> bs = beta.defined() ? beta.detach().contiguous() : beta;
  const Tensor<T> variance({s.n});  // unbiased
  const T* in = xs.data();
  T *mean = stats.mutable_data(), *inverse = mean + s.n, *unbiased = variance.mutable_data();
  T* out = y.mutable_data();
  if (!training) {
    stats.select(0, 0).copy_elements(running_mean.detach());
    stats.select(0, 1).copy_elements(running_variance.detach());
  }
  detail::each_channel(s, [&](std::int64_t c) {
    double squares = 0, sum = 0;
    if (training && n > 0) {
      for (std::int64_t i = 0; i < s.outer; ++i) {
        sum += cpu::simd_dispatch<cpu::detail::SumDense, T>(in + (i * s.n + c) * s.inner, s.inner);
      }
      mean[c] = static_cast<T>(sum / static_cast<double>(n));
      for (std::int64_t i = 0; i < s.outer; ++i) {
        cpu::simd_dispatch<detail::BatchNormSums, T>(in + (i * s.n + c) * s.inner,
                                                     static_cast<const T*>(nullptr), mean[c],
                                                     s.inner, &sum, &squares);
      }
      unbiased[c] = static_cast<T>(squares / static_cast<double>(n - 1));
    }
    const double spread =
        training ? squares / static_cast<double>(n) : static_cast<double>(inverse[c]);
    const double unit = 1 / __builtin_sqrt(spread + options.epsilon);
    inverse[c] = static_cast<T>(unit);
    const T scale =
        gs.defined() ? static_cast<T>(unit * static_cast<double>(gs.data()[c])) : inverse[c];
    const T shift = bs.defined() ? bs.data()[c] : T(0);
    for (std::int64_t i = 0; i < s.outer; ++i) {
      const std::int64_t row = (i * s.n + c) * s.inner;
      cpu::simd_dispatch<detail::BatchNormRow, T>(in + row, static_cast<const T*>(nullptr), mean[c],
                                                  scale, T(0), shift, s.inner, out + row);
    }
  });
  if (training && n > 0 && running_mean.defined()) {
    const auto follow = [&](const Tensor<T>& running, const T* now) {
      const Tensor<T> old = running.detach().contiguous(), next({s.n});
      for (std::int64_t c = 0; c < s.n; ++c) {
        next.mutable_data()[c] =
            static_cast<T>((1 - options.momentum) * static_cast<double>(old.data()[c]) +
                           options.momentum * static_cast<double>(now[c]));
      }
      running.copy_elements(next);
    };
    follow(running_mean, mean);
    follow(running_variance, unbiased);
  }
  return autograd::record(
      op, y,
      [xs = autograd::save(xs), gs = autograd::save(gs), stats = autograd::save(stats), training](
          const Tensor<T>& dy, autograd::Needs need) {
        return detail::batch_norm_backward(xs.get(), gs.get(), stats.get(), dy, !training, need[0]);
      },
      x, gamma, beta);
}

TANDEM_NAMESPACE_END
