#pragma once
/// var, stddev — y = Σ (x − μ)²/(n − 1), √var over all or the given dimensions, n terms each.
///   var: dx = dy·2(x − μ)/(n − 1)     stddev: dx = dy·(x − μ)/((n − 1)·y), 0 where y = 0
///   x (…) → the shape without those dimensions, or with size 1 there (keepdim).
///   Saves x − μ, stddev also y.  Three passes: the mean, the mean of what remains (μ's rounding),
///   the squares. So equal elements have exactly 0.
///
///   const auto x = tensor<float>({{1, 3}, {2, 6}});
///   var(x);                                   // → 4.6667
///   var(x, -1, {.keepdim = true});            // → [[2.], [8.]]
///   stddev(x, {0, 1}, {.unbiased = false});   // → 1.8708
///
/// stddev is what NumPy and PyTorch call std, which is a namespace here. Its gradient at constant x
/// is 0, as in PyTorch (it has no limit there). Both are infinite where the sum of the squares is
/// beyond T, for float from |x − μ| ≈ 1.8e19 on. bfloat16 is computed in float and rounded once.
/// Errors: a dimension out of range or given twice; fewer than two terms for the unbiased form,
/// none for the other.

#include <cstdint>
#include <tuple>

#include "tandem/ops/compare.hpp"
#include "tandem/ops/isnan.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/sqrt.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/ops/where.hpp"

TANDEM_NAMESPACE_BEGIN

/// How var and stddev divide, and what shape they give.
struct VarOptions {
  bool keepdim = false;  ///< size 1 in the place of the dimensions that are gone
  bool unbiased = true;  ///< divide by n − 1, not by n
};

namespace detail {

/// The variance, or its square root.
template <FloatingElement T>
Tensor<T> spread(const char* op, const Tensor<T>& x, const Shape& dims, const VarOptions& options,
                 bool root) {
  require_defined(op, "x", x);
  const unsigned bits = dim_bits(op, dims, x.rank());
  std::int64_t n = 1;
  for (int d = 0; d < x.rank(); ++d) n *= (bits >> d & 1u) != 0 ? x.shape()[d] : 1;
  TANDEM_CHECK(n > (options.unbiased ? 1 : 0), op, "needs at least ",
               options.unbiased ? "two terms (or unbiased = false)" : "one term", ", there are ", n,
               " in shape ", x.shape());
  if constexpr (std::is_same_v<T, bfloat16>) {
    return spread(op, x.template to<float>(), dims, options, root).template to<bfloat16>();
  } else {
    const double divisor = static_cast<double>(options.unbiased ? n - 1 : n);
    const Shape kept = reduced_shape(x.shape(), bits, true);
    const Tensor<T> xs = x.detach(), rough = sub(xs, mean(xs, dims, true)),
                    rest = mean(rough, dims, true);
    const Tensor<T> centred = sub(rough, where(isfinite(rest), rest, 0));
    Tensor<T> y = div(sum(square(centred), dims, options.keepdim), divisor);
    if (root) y = sqrt(y);
    return autograd::record(
        op, y,
        [centred = autograd::save(centred), y = autograd::save(root ? y : Tensor<T>()), kept,
         divisor, root](const Tensor<T>& dy, autograd::Needs) {
          const Tensor<T> slope = root ? where(eq(y.get(), 0), 0, div(div(dy, y.get()), divisor))
                                       : mul(dy, 2 / divisor);
          return std::tuple(mul(centred.get(), slope.reshape(kept)));
        },
        x);
  }
}

}  // namespace detail

template <FloatingElement T>
Tensor<T> var(const Tensor<T>& x, const Shape& dims, const VarOptions& options = {}) {
  return detail::spread("var", x, dims, options, false);
}
template <FloatingElement T, DimensionNumber D>
Tensor<T> var(const Tensor<T>& x, D dim, const VarOptions& options = {}) {
  return var(x, Shape{static_cast<std::int64_t>(dim)}, options);
}
template <FloatingElement T>
Tensor<T> var(const Tensor<T>& x) {
  return var(x, Shape());
}

template <FloatingElement T>
Tensor<T> stddev(const Tensor<T>& x, const Shape& dims, const VarOptions& options = {}) {
  return detail::spread("stddev", x, dims, options, true);
}
template <FloatingElement T, DimensionNumber D>
Tensor<T> stddev(const Tensor<T>& x, D dim, const VarOptions& options = {}) {
  return stddev(x, Shape{static_cast<std::int64_t>(dim)}, options);
}
template <FloatingElement T>
Tensor<T> stddev(const Tensor<T>& x) {
  return stddev(x, Shape());
}
TANDEM_FLOATS_ONLY(var)
TANDEM_FLOATS_ONLY(stddev)

TANDEM_NAMESPACE_END
