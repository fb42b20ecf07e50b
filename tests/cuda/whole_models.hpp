#pragma once
/// What the tests of whole models share: closeness as a norm, models whose start is the same in
/// every element type, and what a forward costs.

#include <cmath>
#include <string>
#include <vector>

#include "devices.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/nn/weight.hpp"
#include "tandem/tensor/print.hpp"

namespace whole_models {

using namespace tandem;

/// ‖a − b‖/‖b‖.
template <class A, class B>
double relative(const Tensor<A>& a, const Tensor<B>& b) {
  REQUIRE(a.shape() == b.shape());
  const std::vector<A> x = a.to_vector();
  const std::vector<B> y = b.to_vector();
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
    size += std::pow(static_cast<double>(y[i]), 2);
  }
  REQUIRE(size > 0);
  return std::sqrt(difference / size);
}

/// Rounds what a module starts with to float, so that all element types have the same numbers.
template <class T>
void round_to_float(nn::Module<T>& module) {
  const NoGrad no_grad;
  for (const nn::Named<T>& named : module.state_dict()) {
    named.tensor.copy_(check::cast<T>(check::cast<float>(named.tensor)));
  }
}

/// What f() puts into the queue of a GPU: launches, waits, and products, which are cuBLASLt's.
struct Cost {
  std::int64_t launches, waits;
};
template <class F>
Cost cost_of(F&& f) {
  const std::int64_t launched = kernel_launches(), waited = waits();
  f();
  return {kernel_launches() - launched, waits() - waited};
}

}  // namespace whole_models
