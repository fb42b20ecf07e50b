#pragma once
/// cumsum — yᵢ = Σ_{j ≤ i} xⱼ along a dimension.
///   dxⱼ = Σ_{i ≥ j} dyᵢ: the same sum from the other end.
///   x (…, n, …) → same shape.  Saves nothing.  Sums of floats are kept in double; integers wrap.
///
///   Tensor<float> integral = cumsum(scores, 1);
///
/// Errors: a dimension out of range.

#include <cstdint>
#include <tuple>
#include <type_traits>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/parts/elementwise.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class T>
Tensor<T> running_sum(const Tensor<T>& x, int dim, bool from_end) {
  using Part = std::conditional_t<std::is_integral_v<T>, std::uint64_t, double>;
  const DimSplit s = split_at(x.shape(), dim);
  const Tensor<T> in = x.detach().contiguous();
  const Tensor<T> out(x.shape());
  const T* from = in.data();
  T* to = out.mutable_data();
  cpu::parallel_for(s.outer * s.inner, grain_for(s.n), [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t width = 64;  // neighbouring columns go together
    while (begin < end) {
      const std::int64_t column = begin % s.inner;
      std::int64_t count = s.inner - column < end - begin ? s.inner - column : end - begin;
      if (count > width) count = width;
      Part sums[width] = {};
      for (std::int64_t i = 0; i < s.n; ++i) {
        const std::int64_t at =
            (begin / s.inner * s.n + (from_end ? s.n - 1 - i : i)) * s.inner + column;
        for (std::int64_t k = 0; k < count; ++k) {
          sums[k] += static_cast<Part>(from[at + k]);
          to[at + k] = static_cast<T>(sums[k]);
        }
      }
      begin += count;
    }
  });
  return out;
}

}  // namespace detail

template <ArithmeticElement T>
Tensor<T> cumsum(const Tensor<T>& x, Dim dim) {
  detail::require_defined("cumsum", "x", x);
  detail::require_cpu("cumsum", x);
  const int d = normalize_dim("cumsum", dim, x.rank());
  const Tensor<T> out = detail::running_sum(x, d, false);
  if constexpr (FloatingElement<T>) {
    return autograd::record(
        "cumsum", out,
        [d](const Tensor<T>& dy, autograd::Needs) {
          return std::tuple(detail::running_sum(dy, d, true));
        },
        x);
  } else {
    return out;
  }
}

TANDEM_NAMESPACE_END
