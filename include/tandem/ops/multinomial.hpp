#pragma once
/// multinomial — y = indices drawn with the probabilities wᵢ/Σw.
///   weights (n) or (rows, n), count → int64 (count) or (rows, count).  On the CPU only.
///   The numbers are those of the generator, row after row: same seed, same draws.
///
///   const auto weights = tensor<float>({0, 1, 3});
///   multinomial(weights, 8, random, true);   // → [2, 2, 1, 2, 2, 2, 2, 2]
///   multinomial(weights, 2, random);         // → [2, 1]
///
/// Without replacement an index is drawn once, each with the probabilities of those that are left:
/// the smallest eᵢ/wᵢ for exponential eᵢ come first.               [Efraimidis & Spirakis 2006]
/// With it each draw asks the running sums. Weights need not sum to 1 and are added in double; one
/// of 0 is never drawn. There is no derivative: under recording, weights that need a gradient are
/// refused (detach() them).
/// Errors: not one or two dimensions; a weight that is negative, NaN or infinite, none above 0 in a
/// row; without replacement, more draws than weights above 0; count below 0.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "tandem/ops/parts/common.hpp"
#include "tandem/tensor/random.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Draws with replacement: a number in [0, Σw) lies between two of the running sums.
inline void draw_with_replacement(const std::vector<double>& weights, std::int64_t count,
                                  Generator& random, std::int64_t* to) {
  std::vector<double> sums(weights.size());
  double total = 0;
  std::int64_t last = 0;  // the last weight above 0: rounding must not lead beyond it
  for (std::size_t i = 0; i < weights.size(); ++i) {
    sums[i] = total += weights[i];
    if (weights[i] > 0) last = static_cast<std::int64_t>(i);
  }
  for (std::int64_t k = 0; k < count; ++k) {
    const double at = random.next_double() * total;
    const std::int64_t i = std::upper_bound(sums.begin(), sums.end(), at) - sums.begin();
    to[k] = i < last ? i : last;
  }
}
/// Draws without replacement: the smallest −ln(u)/w first.
inline void draw_without_replacement(const std::vector<double>& weights, std::int64_t count,
                                     Generator& random, std::int64_t* to) {
  std::vector<std::pair<double, std::int64_t>> waits;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double u = 1 - random.next_double();  // in (0, 1]
    if (weights[i] > 0) {
      waits.emplace_back(-__builtin_log(u) / weights[i], static_cast<std::int64_t>(i));
    }
  }
  std::partial_sort(waits.begin(), waits.begin() + count, waits.end());
  for (std::int64_t k = 0; k < count; ++k) to[k] = waits[static_cast<std::size_t>(k)].second;
}

}  // namespace detail

template <FloatingElement T>
Tensor<std::int64_t> multinomial(const Tensor<T>& weights, std::int64_t count, Generator& random,
                                 bool replacement = false) {
  const char* const op = "multinomial";
  detail::require_defined(op, "weights", weights);
  detail::require_cpu(op, weights);
  autograd::refuse_grad(op, weights);
  TANDEM_CHECK(weights.rank() == 1 || weights.rank() == 2, op,
               "weights must have one or two dimensions, their shape is ", weights.shape());
  TANDEM_CHECK(count >= 0, op, "there cannot be ", count, " draws");
  const Tensor<T> dense = weights.detach().contiguous();
  const std::int64_t n = weights.size(-1), rows = weights.rank() == 2 ? weights.size(0) : 1;
  std::vector<double> all(static_cast<std::size_t>(n));
  Shape shape = weights.shape();
  shape[shape.rank() - 1] = count;
  const Tensor<std::int64_t> out(shape);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int64_t positive = 0;
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double w = static_cast<double>(dense.data()[r * n + i]);
      TANDEM_CHECK(w >= 0 && w <= std::numeric_limits<double>::max(), op, "weight ", i, " of row ",
                   r, " is ", w, ": weights must be finite and not negative");
      all[static_cast<std::size_t>(i)] = w;
      positive += w > 0 ? 1 : 0;
      total += w;
    }
    TANDEM_CHECK(positive > 0 || count == 0, op, "row ", r, " has no weight above 0");
    TANDEM_CHECK(total <= std::numeric_limits<double>::max(), op, "the weights of row ", r,
                 " have an infinite sum");
    TANDEM_CHECK(replacement || count <= positive, op, count, " draws without replacement from ",
                 positive, " weights above 0 in row ", r);
    if (count == 0) continue;
    std::int64_t* const to = out.mutable_data() + r * count;
    replacement ? detail::draw_with_replacement(all, count, random, to)
                : detail::draw_without_replacement(all, count, random, to);
  }
  return out;
}

TANDEM_NAMESPACE_END
