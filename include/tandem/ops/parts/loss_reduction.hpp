#pragma once
/// What the losses share: how the losses of the elements become one number, and back; the slots of
/// losses that are a formula of element i (formula/losses.hpp), whose kernels are in
/// kernels/losses.cuh.

#include <cstdint>
#include <vector>

#include "tandem/formula/losses.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// 1/count for mean, 1 otherwise; 0 for the mean of nothing.
inline double reduction_scale(Reduction reduction, std::int64_t count) {
  if (reduction != Reduction::mean) return 1;
  return count > 0 ? 1 / static_cast<double>(count) : 0;
}

/// Σ f(begin, end) over chunks of a fixed size, added in double and in order: f returns the double
/// sum of its range. Same bits for any thread count.
template <class F>
double sum_chunks(std::int64_t n, std::int64_t chunk, F&& f) {
  std::vector<double> parts(static_cast<std::size_t>(cpu::num_chunks(n, chunk)));
  cpu::parallel_chunks(n, chunk, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    parts[static_cast<std::size_t>(i)] = f(begin, end);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

/// Writes the result of a loss whose element i is `loss(i)`, i < n, with `scale` as above: n
/// elements or one.
template <class T, class F>
void write_losses(T* out, std::int64_t n, Reduction reduction, double scale, const F& loss) {
  if (reduction == Reduction::none) {
    cpu::parallel_for(n, cpu::elementwise_grain / 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(loss(i));
    });
    return;
  }
  const double sum = sum_chunks(n, 4096, [&](std::int64_t begin, std::int64_t end) {
    double part = 0;
    for (std::int64_t i = begin; i < end; ++i) part += static_cast<double>(loss(i));
    return part;
  });
  *out = static_cast<T>(sum * scale);
}

template <class F, class T>
void loss_on_cpu(const F& loss, T* out, std::int64_t n, Reduction reduction, const bool* mask,
                 std::int64_t* counted) {
  std::int64_t count = n;
  if (mask != nullptr) {
    count = 0;
    for (std::int64_t i = 0; i < n; ++i) count += mask[i] ? 1 : 0;
    *counted = count;
  }
  write_losses(out, n, reduction, reduction_scale(reduction, count), loss);
}
template <class G, class T>
void loss_backward_on_cpu(const G& gradient, T* dx, const T* dy, std::int64_t n,
                          Reduction reduction, const std::int64_t* counted) {
  const double scale = reduction_scale(reduction, counted != nullptr ? *counted : n);
  const bool each = reduction == Reduction::none;
  const T common = each ? T(0) : static_cast<T>(static_cast<double>(*dy) * scale);
  cpu::parallel_for(n, cpu::elementwise_grain / 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) dx[i] = gradient(i, each ? dy[i] : common);
  });
}

/// out = the losses F(i), i < n, reduced. With a mask, which only the mean has, *counted becomes
/// the number of elements that take part; backward reads it, on a GPU it never leaves the device.
/// The CPU adds in double, a GPU adds floats in float.
template <class F, class T>
inline const Kernel<void(Queue&, const F& loss, T* out, std::int64_t n, Reduction reduction,
                         const bool* mask, std::int64_t* counted)>
    loss_forward{"loss_forward", loss_on_cpu<F, T>};
/// dx[i] = G(i, g), i < n. counted: null where all take part.
template <class G, class T>
inline const Kernel<void(Queue&, const G& gradient, T* dx, const T* dy, std::int64_t n,
                         Reduction reduction, const std::int64_t* counted)>
    loss_backward{"loss_backward", loss_backward_on_cpu<G, T>};

/// Where the elements of a tensor are; null where there is none.
template <class T>
const T* data_or_null(const Tensor<T>& x) {
  return x.defined() ? x.device_data() : nullptr;
}

/// Losses do not broadcast: throws unless both shapes are equal.
template <Element A, Element B>
void require_same_shape(const char* op, const char* name_a, const Tensor<A>& a, const char* name_b,
                        const Tensor<B>& b) {
  TANDEM_CHECK(a.shape() == b.shape(), op, "shapes must be equal: ", name_a, " ", a.shape(), ", ",
               name_b, " ", b.shape());
}

}  // namespace detail
TANDEM_NAMESPACE_END
