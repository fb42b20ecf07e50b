#pragma once
/// cumsum — yᵢ = Σ_{j ≤ i} xⱼ along a dimension.
///   dxⱼ = Σ_{i ≥ j} dyᵢ: the same sum from the other end.
///   x (…, n, …) → same shape.  Saves nothing.  Sums of floats are kept in double; integers wrap.
///
///   cumsum(tensor<float>({{1, 2, 3}, {4, 5, 6}}), 1);   // → [[1., 3., 6.], [4., 9., 15.]]
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
void cumsum_on_cpu(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner,
                   bool from_end) {
  using Part = std::conditional_t<std::is_integral_v<T>, std::uint64_t, double>;
  cpu::parallel_for(outer * inner, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t width = 64;  // neighbouring columns go together
    while (begin < end) {
      const std::int64_t column = begin % inner;
      std::int64_t count = inner - column < end - begin ? inner - column : end - begin;
      if (count > width) count = width;
      Part sums[width] = {};
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t at = (begin / inner * n + (from_end ? n - 1 - i : i)) * inner + column;
        for (std::int64_t k = 0; k < count; ++k) {
          sums[k] += static_cast<Part>(x[at + k]);
          y[at + k] = static_cast<T>(sums[k]);
        }
      }
      begin += count;
    }
  });
}

/// y, the sums along the middle dimension of (outer, n, inner) from its beginning, or from its end.
template <class T>
inline const Kernel<void(Queue&, T* y, const T* x, std::int64_t outer, std::int64_t n,
                         std::int64_t inner, bool from_end)>
    cumsum_along{"cumsum_along", cumsum_on_cpu<T>};

template <class T>
Tensor<T> running_sum(const Tensor<T>& x, int dim, bool from_end) {
  const DimSplit s = split_at(x.shape(), dim);
  const Tensor<T> in = x.detach().contiguous();
  const Tensor<T> out(x.shape(), x.device());
  cumsum_along<T>(x.device(), out.mutable_device_data(), in.device_data(), s.outer, s.n, s.inner,
                  from_end);
  return out;
}

}  // namespace detail

template <ArithmeticElement T>
Tensor<T> cumsum(const Tensor<T>& x, Dim dim) {
  detail::require_defined("cumsum", "x", x);
  detail::require_kernels("cumsum", x, detail::cumsum_along<T>);
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
