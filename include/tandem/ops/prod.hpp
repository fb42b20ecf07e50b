#pragma once
/// prod — y = Π x along a dimension, or over all elements.
///   dxᵢ = dy·Π_{j ≠ i} xⱼ, as the product of those before and of those behind: no division by xᵢ,
///   so that it is right where elements are 0; also where the product of the others overflows, if
///   all are finite: with one 0 only its own element has a gradient, with more none.
///   x (…, n, …) → without that dimension, or with size 1 there (keepdim); prod(x) → ().
///   Saves x.  Integers and bool are multiplied as int64 and wrap around.
///
///   const auto x = tensor<float>({{1, 2}, {3, 4}});
///   prod(x, -1);   // → [2., 12.]
///   prod(x);       // → 24.
///
/// The product of none is 1. bfloat16 is computed in float and rounded once.
/// Errors: a dimension out of range.

#include <cstdint>
#include <tuple>
#include <type_traits>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Calls f(first, column, count) for runs of neighbouring columns of (outer, n, inner): their first
/// elements lie at `first`, their numbers are column, column + 1, … .
template <class F>
void each_run_of_columns(std::int64_t outer, std::int64_t n, std::int64_t inner, const F& f) {
  cpu::parallel_for(outer * inner, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t column = begin % inner;
      std::int64_t count = inner - column < end - begin ? inner - column : end - begin;
      if (count > 64) count = 64;
      f(begin / inner * n * inner + column, begin, count);
      begin += count;
    }
  });
}

template <class T>
void prod_on_cpu(T* y, const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  using Part = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;
  each_run_of_columns(outer, n, inner,
                      [=](std::int64_t first, std::int64_t column, std::int64_t count) {
                        Part products[64];
                        for (std::int64_t k = 0; k < count; ++k) products[k] = 1;
                        for (std::int64_t i = 0; i < n; ++i) {
                          const T* const row = x + first + i * inner;
                          for (std::int64_t k = 0; k < count; ++k)
                            products[k] *= static_cast<Part>(row[k]);
                        }
                        for (std::int64_t k = 0; k < count; ++k)
                          y[column + k] = static_cast<T>(products[k]);
                      });
}
template <class T>
void prod_backward_on_cpu(T* dx, const T* dy, const T* x, std::int64_t outer, std::int64_t n,
                          std::int64_t inner) {
  each_run_of_columns(outer, n, inner,
                      [=](std::int64_t first, std::int64_t column, std::int64_t count) {
                        T products[64];
                        std::int64_t zeros[64];  // -1 where something is not finite
                        for (std::int64_t k = 0; k < count; ++k) {
                          products[k] = dy[column + k];
                          zeros[k] = products[k] - products[k] == 0 ? 0 : -1;
                        }
                        for (std::int64_t i = 0; i < n; ++i) {  // dy times those before
                          const std::int64_t at = first + i * inner;
                          for (std::int64_t k = 0; k < count; ++k) {
                            const T value = x[at + k];
                            dx[at + k] = products[k];
                            products[k] *= value;
                            if (!(value - value == 0)) zeros[k] = -1;
                            if (zeros[k] >= 0 && value == 0) ++zeros[k];
                          }
                        }
                        for (std::int64_t k = 0; k < count; ++k) products[k] = 1;
                        for (std::int64_t i = n - 1; i >= 0; --i) {  // times those behind
                          const std::int64_t at = first + i * inner;
                          for (std::int64_t k = 0; k < count; ++k) {
                            // A 0 among the others makes the product 0, whatever overflows.
                            const bool none = zeros[k] > 1 || (zeros[k] == 1 && !(x[at + k] == 0));
                            dx[at + k] = none ? T(0) : dx[at + k] * products[k];
                            products[k] *= x[at + k];
                          }
                        }
                      });
}

/// y (outer, inner), the products along the middle dimension of x (outer, n, inner).
template <class T>
inline const Kernel<void(Queue&, T* y, const T* x, std::int64_t outer, std::int64_t n,
                         std::int64_t inner)>
    prod_forward{"prod_forward", prod_on_cpu<T>};
/// dx = dy times the products of the others.
template <class T>
inline const Kernel<void(Queue&, T* dx, const T* dy, const T* x, std::int64_t outer, std::int64_t n,
                         std::int64_t inner)>
    prod_backward{"prod_backward", prod_backward_on_cpu<T>};

template <class T>
Tensor<T> prod_along(const char* op, const Tensor<T>& x, int dim, bool keepdim) {
  require_kernels(op, x, prod_forward<T>);
  const DimSplit s = split_at(x.shape(), dim);
  const Tensor<T> xs = x.detach().contiguous();
  const Tensor<T> y(reduced_shape(x.shape(), 1u << dim, keepdim), x.device());
  prod_forward<T>(x.device(), y.mutable_device_data(), xs.device_data(), s.outer, s.n, s.inner);
  if constexpr (FloatingElement<T>) {
    require_kernels(op, x, prod_backward<T>);
    return autograd::record(
        op, y,
        [s, xs = autograd::save(xs)](const Tensor<T>& dy, autograd::Needs) {
          const Tensor<T> g = dy.contiguous(), dx(xs.get().shape(), dy.device());
          prod_backward<T>(dy.device(), dx.mutable_device_data(), g.device_data(),
                           xs.get().device_data(), s.outer, s.n, s.inner);
          return std::tuple(dx);
        },
        x);
  } else {
    return y;
  }
}

}  // namespace detail

template <Element T>
Tensor<detail::sum_t<T>> prod(const Tensor<T>& x, Dim dim, bool keepdim = false) {
  detail::require_defined("prod", "x", x);
  const int d = normalize_dim("prod", dim, x.rank());
  if constexpr (std::is_same_v<T, bfloat16>) {
    return detail::prod_along("prod", x.template to<float>(), d, keepdim).template to<bfloat16>();
  } else if constexpr (FloatingElement<T>) {
    return detail::prod_along("prod", x, d, keepdim);
  } else {
    return detail::prod_along("prod", x.template to<std::int64_t>(), d, keepdim);
  }
}
template <Element T>
Tensor<detail::sum_t<T>> prod(const Tensor<T>& x) {
  detail::require_defined("prod", "x", x);
  return prod(x.flatten(), 0);
}

TANDEM_NAMESPACE_END
