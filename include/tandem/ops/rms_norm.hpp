#pragma once
/// rms_norm — y = x/√(mean(x²) + ε) · γ over the last axis.        [Zhang & Sennrich 2019, eq. 4]
///   dx = s·(g − x̂·mean(g·x̂)),  g = dy·γ,  x̂ = x·s,  s = 1/√(mean(x²) + ε);  dγ = Σ rows of dy·x̂
///   x (…, n), γ (n) → (…, n); γ may be undefined (1).   Composed of square, mean, pow and mul.
///   Without ε it is T's, numeric_limits<T>::epsilon(), as in PyTorch.
///
///   rms_norm(tensor<float>({{1, 7}, {0, 100}}), tensor<float>({1, 10}), 1e-6);
///   // → [[0.2, 14.], [0., 14.1421]]
///
/// Errors: no last axis, or an empty one; γ not of shape (n); ε not positive.

#include <limits>
#include <optional>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/pow.hpp"
#include "tandem/ops/square.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> rms_norm(const Tensor<T>& x,
                                                          const Tensor<T>& gamma = {},
                                                          std::optional<double> eps = {}) {
  const char* const op = "rms_norm";
  detail::require_defined(op, "x", x);
  detail::require_given_or_none(op, "gamma", gamma);
  detail::require_same_device(op, x, gamma);
  TANDEM_CHECK(x.rank() >= 1 && x.size(-1) > 0, op, "expected x of shape (…, n), n > 0, got ",
               x.shape());
  const double epsilon = eps.value_or(static_cast<double>(std::numeric_limits<T>::epsilon()));
  TANDEM_CHECK(static_cast<T>(epsilon) > 0, op, "eps must be positive, it is ", epsilon);
  TANDEM_CHECK(!gamma.defined() || gamma.shape() == Shape{x.size(-1)}, op,
               "the scale must have shape (", x.size(-1), ",), it has ",
               gamma.defined() ? gamma.shape() : Shape());
  const Tensor<T> y = mul(x, pow(add(mean(square(x), -1, true), epsilon), -0.5));
  return gamma.defined() ? mul(y, gamma) : y;
}

TANDEM_NAMESPACE_END
