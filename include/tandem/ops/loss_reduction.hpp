#pragma once
/// What the losses share: how the losses of the elements become one number, and back.

#include <cstdint>
#include <vector>

#include "tandem/ops/common.hpp"

TANDEM_NAMESPACE_BEGIN

/// none keeps one loss per element, sum adds them, mean divides the sum by the number of elements
/// that take part (0 when none does: an empty batch teaches nothing and breaks nothing).
enum class Reduction { none, mean, sum };

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

/// The result of a loss whose element i is `loss(i)`, i < n, with `scale` as above.
template <class T, class F>
Tensor<T> reduce_losses(const Shape& shape, Reduction reduction, double scale, F&& loss) {
  const std::int64_t n = shape.numel();
  if (reduction == Reduction::none) {
    Tensor<T> out(shape);
    T* to = out.mutable_data();
    cpu::parallel_for(n, cpu::elementwise_grain / 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(loss(i));
    });
    return out;
  }
  const double sum = sum_chunks(n, 4096, [&](std::int64_t begin, std::int64_t end) {
    double part = 0;
    for (std::int64_t i = begin; i < end; ++i) part += static_cast<double>(loss(i));
    return part;
  });
  return full<T>({}, static_cast<T>(sum * scale));
}

/// dy as the backward of a loss reads it: the gradient of element i is `at(i)`.
template <class T>
struct LossGradient {
  LossGradient(const Tensor<T>& dy, Reduction reduction, double scale)
      : dense(dy.contiguous()), p(dense.data()), per_element(reduction == Reduction::none),
        common(per_element ? T(0) : static_cast<T>(static_cast<double>(*p) * scale)) {}
  T at(std::int64_t i) const { return per_element ? p[i] : common; }

  Tensor<T> dense;
  const T* p;
  bool per_element;
  T common;
};

/// Losses do not broadcast: throws unless both shapes are equal.
template <Element A, Element B>
void require_same_shape(const char* op, const char* name_a, const Tensor<A>& a, const char* name_b,
                        const Tensor<B>& b) {
  TANDEM_CHECK(a.shape() == b.shape(), op, "shapes must be equal: ", name_a, " ", a.shape(), ", ",
               name_b, " ", b.shape());
}

}  // namespace detail
TANDEM_NAMESPACE_END
