#pragma once
/// group_norm — y = (x − μ)/√(σ² + ε) · γ + β over groups of channels and all positions of a
/// sample.
///   dx = s·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  x̂ = (x − μ)·s,  s = 1/√(σ² + ε);
///   dγ = Σ dy·x̂;   dβ = Σ dy over samples and positions.   Composed of layer_norm, mul and add.
///   x (N, C, …), γ (C), β (C) → same shape; γ and β may be undefined (1 and 0); σ² and the means
///   are those of the C/groups channels together.                             [Wu & He 2018, eq. 7]
///
///   const auto x = tensor<float>({{1, 3, 10, 30}});          // 1 sample, 4 channels
///   group_norm(x, 2, ones<float>({4}), zeros<float>({4}));   // → [[-1., 1., -1., 1.]]
///
/// Errors: groups that do not divide the channels; γ or β not of shape (C); ε not positive.

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/layer_norm.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> group_norm(const Tensor<T>& x, std::int64_t groups,
                                                            const Tensor<T>& gamma = {},
                                                            const Tensor<T>& beta = {},
                                                            double eps = 1e-5) {
  const char* const op = "group_norm";
  detail::require_defined(op, "x", x);
  detail::require_given_or_none(op, "gamma", gamma, "beta", beta);
  detail::require_same_device(op, x, gamma, beta);
  TANDEM_CHECK(x.rank() >= 2, op, "expected x of shape (N, C, …), got ", x.shape());
  TANDEM_CHECK(groups >= 1 && x.size(1) % groups == 0, op, x.size(1),
               " channels do not divide into ", groups, " groups");
  TANDEM_CHECK(static_cast<T>(eps) > 0, op, "eps must be positive, it is ", eps);
  Shape channels{x.size(1)};
  for (const Tensor<T>& p : {gamma, beta}) {
    TANDEM_CHECK(!p.defined() || p.shape() == channels, op, "scale and shift must have shape (",
                 x.size(1), ",), one has ", p.defined() ? p.shape() : Shape());
  }
  const std::int64_t rows = x.size(0) * groups;
  const std::int64_t n = rows > 0 ? x.numel() / rows : 0;
  Tensor<T> y = layer_norm(x.reshape({rows, n}), {}, {}, eps).reshape(x.shape());
  for (int a = 2; a < x.rank(); ++a) channels.push_back(1);
  if (gamma.defined()) y = mul(y, gamma.reshape(channels));
  if (beta.defined()) y = add(y, beta.reshape(channels));
  return y;
}

TANDEM_NAMESPACE_END
