#pragma once
/// rotary — y_t = R(t)·x_t: pair i of x_t is turned by the angle (first + t)·base^(−2i/d).
///                                                                        [Su et al. 2021, eq. 34]
///   y_a = x_a·cos − x_b·sin,  y_b = x_b·cos + x_a·sin for the pair (a, b)
///   dx_t = R(−t)·dy_t
///   x (…, T, d), d even → same shape.  Pair i is (i, i + d/2), as in Llama's and GPT-NeoX's files,
///   or with `interleaved` (2i, 2i + 1), as in the paper and GPT-J.  Composed of mul, sub, add and
///   cat or stack. Scalar products of turned queries and keys depend on the distance alone.
///
///   const auto q = ones<float>({1, 1, 3, 2});   // (B, heads, T, d)
///   rotary(q);                           // → [[[[1., 1.], [-0.3012, 1.3818], [-1.3254, 0.4932]]]]
///   rotary(q.slice(2, 0, 1), {.first = 2});   // → [[[[-1.3254, 0.4932]]]]   the next one
///
/// Angles are computed in double. Errors: fewer than two dimensions, an odd d, base not positive.

#include <vector>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/stack.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN

/// By how much rotary turns what.
struct RotaryOptions {
  double base = 10000;       ///< the slowest pair takes nearly 2π·base positions for a turn
  std::int64_t first = 0;    ///< the position of the first row
  bool interleaved = false;  ///< pairs are neighbours
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> rotary(const Tensor<T>& x,
                                                        const RotaryOptions& options = {}) {
  const char* const op = "rotary";
  detail::require_defined(op, "x", x);
  TANDEM_CHECK(x.rank() >= 2 && x.size(-1) % 2 == 0, op,
               "expected x of shape (…, T, d), d even, got ", x.shape());
  TANDEM_CHECK(options.base > 0, op, "the base must be positive, it is ", options.base);
  const std::int64_t rows = x.size(-2), half = x.size(-1) / 2;
  std::vector<T> cosines, sines;
  for (std::int64_t t = 0; t < rows; ++t) {
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(options.first + t) *
          __builtin_pow(options.base, -static_cast<double>(i) / static_cast<double>(half));
      cosines.push_back(static_cast<T>(__builtin_cos(angle)));
      sines.push_back(static_cast<T>(__builtin_sin(angle)));
    }
  }
  const Tensor<T> c = from_vector<T>(cosines, {rows, half}).to(x.device()),
                  s = from_vector<T>(sines, {rows, half}).to(x.device());
  if (options.interleaved) {
    Shape pairs = x.shape();
    pairs.erase(pairs.rank() - 1);
    pairs.push_back(half);
    pairs.push_back(2);
    const Tensor<T> split = x.reshape(pairs), a = split.select(-1, 0), b = split.select(-1, 1);
    return stack<T>({sub(mul(a, c), mul(b, s)), add(mul(b, c), mul(a, s))}, -1).reshape(x.shape());
  }
  const Tensor<T> a = x.slice(-1, 0, half), b = x.slice(-1, half, 2 * half);
  return cat<T>({sub(mul(a, c), mul(b, s)), add(mul(b, c), mul(a, s))}, -1);
}

TANDEM_NAMESPACE_END
