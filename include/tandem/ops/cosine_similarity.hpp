#pragma once
/// cosine_similarity — y = Σ x̂·ẑ along a dimension, x̂ = x/max(‖x‖, ε), ẑ = z/max(‖z‖, ε).
///   dx = (ẑ − x̂·y)/‖x‖·dy where ‖x‖ > ε, ẑ/ε·dy elsewhere;   dz likewise
///   x, z (…, n, …) of as many dimensions, which broadcast → that shape without the dimension.
///   Composed of normalize, mul and sum.
///
///   cosine_similarity(tensor<float>({{1, 0}, {3, 4}}), tensor<float>({{2, 0}}), -1);
///   // → [1., 0.6]
///
/// The dimension is 1 by default, as PyTorch's (whose gradient below ε is not that of its value).
/// Errors: shapes that do not broadcast, ε not positive.

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/normalize.hpp"
#include "tandem/ops/sum.hpp"

TANDEM_NAMESPACE_BEGIN

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> cosine_similarity(const Tensor<T>& x,
                                                                   const Tensor<T>& z, Dim dim = 1,
                                                                   double eps = 1e-8) {
  const char* const op = "cosine_similarity";
  detail::require_defined(op, "x", x, "z", z);
  detail::require_same_device(op, x, z);
  TANDEM_CHECK(static_cast<T>(eps) > 0, op, "eps must be positive, it is ", eps);
  TANDEM_CHECK(x.rank() == z.rank(), op, "expected tensors of as many dimensions, got ", x.shape(),
               " and ", z.shape());
  const int d = normalize_dim(op, dim, x.rank());
  TANDEM_CHECK(x.size(d) == z.size(d), op, "dimension ", d, " differs: ", x.shape(), " and ",
               z.shape());
  return sum(mul(normalize(x, d, eps), normalize(z, d, eps)), d);
}
TANDEM_ONE_TYPE_ONLY(cosine_similarity)

TANDEM_NAMESPACE_END
