#pragma once
/// gradcheck: is a backward the derivative of its forward?

#include <string>
#include <vector>

#include "tandem/autograd/backward.hpp"
#include "tandem/tensor/random.hpp"

TANDEM_NAMESPACE_BEGIN

namespace autograd {

/// The step of the differences, and how far gradients may lie apart.
struct GradcheckOptions {
  /// Step of the central difference, times max(1, |x|). Its error is O(h²) from the third
  /// derivative plus O(ε/h) from rounding; both are about 4e-11 at h = ε^(1/3) = 6e-6.
  double step = 6e-6;
  /// Allowed |numeric − analytic| ≤ absolute + relative·|numeric|. The default leaves four digits
  /// for the function's own condition number and for sums of thousands of terms.
  double relative = 1e-6;
  double absolute = 1e-7;
  std::uint64_t seed = 1;  ///< of the cotangent
};

/// Compares the analytic gradients of `f` at `inputs` with central differences in double.
///
/// The result of f is contracted with a random cotangent v, so that every output counts: the
/// gradient of Σ softmax(x) is zero and proves nothing, that of Σ v·softmax(x) is not. Throws Error
/// naming input, element, both values, or when all gradients are zero.
///
///   gradcheck([](const std::vector<Tensor<double>>& x) { return matmul(x[0], x[1]); },
///             {randn<double>({2, 3}, random), randn<double>({3, 4}, random)});
template <class F>
void gradcheck(const F& f, const std::vector<Tensor<double>>& inputs,
               const GradcheckOptions& options = {}) {
  std::vector<Tensor<double>> leaves;
  for (const Tensor<double>& input : inputs) {
    // Same values in the same (perhaps strided) layout, in memory of its own.
    const Tensor<double> whole(
        Shape{input.storage()->bytes() / static_cast<std::int64_t>(sizeof(double))});
    Tensor<double> leaf = whole.alias(input.layout());
    leaf.copy_elements(input.detach());
    leaf.requires_grad_();
    leaves.push_back(leaf);
  }
  const Tensor<double> result = f(leaves);
  TANDEM_CHECK(result.requires_grad(), "gradcheck", "the result does not depend on any input");
  Generator random(options.seed);
  const Tensor<double> cotangent = randn<double>(result.shape(), random);
  result.backward(cotangent);

  const auto contracted = [&] {
    const NoGrad no_grad;
    const std::vector<double> y = f(leaves).detach().to_vector();
    const double* v = cotangent.data();
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += v[i] * y[i];
    return sum;
  };
  bool any = false;
  for (std::size_t k = 0; k < leaves.size(); ++k) {
    const Tensor<double>& leaf = leaves[k];
    const Tensor<double> gradient = leaf.grad();
    TANDEM_CHECK(gradient.defined(), "gradcheck", "input ", k, " received no gradient");
    TANDEM_CHECK(gradient.shape() == leaf.shape(), "gradcheck", "input ", k, " of shape ",
                 leaf.shape(), " received a gradient of shape ", gradient.shape());
    const std::vector<double> analytic = gradient.to_vector();
    const NoGrad no_grad;
    const auto loop = tandem::detail::make_loop<1>(leaf.shape(), {leaf.strides()});
    std::size_t element = 0;
    loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[1]) {
      for (std::int64_t i = 0; i < loop.inner; ++i, ++element) {
        const std::int64_t where = at[0] + i * loop.inner_strides[0];
        const double x = leaf.data()[where];
        const double h = options.step * (x > 1 ? x : x < -1 ? -x : 1.0);
        leaf.mutable_data()[where] = x + h;
        const double above = contracted();
        leaf.mutable_data()[where] = x - h;
        const double below = contracted();
        leaf.mutable_data()[where] = x;
        const double numeric = (above - below) / (2 * h);
        const double difference = __builtin_fabs(numeric - analytic[element]);
        // Written so that NaN fails.
        TANDEM_CHECK(difference <= options.absolute + options.relative * __builtin_fabs(numeric),
                     "gradcheck", "input ", k, ", element ", element, " of shape ", leaf.shape(),
                     ": the backward gives ", analytic[element], ", the difference quotient ",
                     numeric);
        any = any || analytic[element] != 0;
      }
    });
  }
  TANDEM_CHECK(any, "gradcheck", "every gradient is zero, which proves nothing");
}

/// The same values as `x` in a layout that is not contiguous: every second element of a buffer
/// twice as wide, along the last dimension. For tests of strided inputs.
template <Element T>
Tensor<T> make_strided(const Tensor<T>& x) {
  TANDEM_CHECK(x.rank() > 0, "make_strided", "a scalar has no strides");
  Shape wide = x.shape();
  wide[wide.rank() - 1] = 2 * wide.back() + 1;
  const Tensor<T> buffer = zeros<T>(wide);
  const Tensor<T> out = buffer.slice(-1, 1, 2 * x.shape().back() + 1, 2);
  out.copy_elements(x.detach());
  return out;
}

}  // namespace autograd

using autograd::gradcheck;

TANDEM_NAMESPACE_END
